// SPDX-License-Identifier: Apache-2.0
#include "lib/crypto/tpm_templates.h"

// clang-format off
#define POLICY_LOW /* PolicySecret(TPM_RH_ENDORSEMENT), SHA-256: profile section B.3 */ \
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, \
	0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, \
	0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa

#define POLICY_HIGH_384 /* PolicyB with SHA-384: profile section B.6 */ \
	0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, \
	0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, \
	0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09, \
	0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12
// clang-format on

enum {
	STORAGE = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
		  TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
	SIGNING = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
		  TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
		  TPMA_OBJECT_SIGN_ENCRYPT,
};

#define AES_CFB(bits)                                                                              \
	{                                                                                          \
		.algorithm = TPM2_ALG_AES, .keyBits.aes = bits, .mode.aes = TPM2_ALG_CFB           \
	}

const struct tpm_template tpm_ek_templates[] = {
	{
		// L-2
		.nv = 0x01c0000a,
		.by_policy = true,
		.public.publicArea =
			{
				.type = TPM2_ALG_ECC,
				.nameAlg = TPM2_ALG_SHA256,
				.objectAttributes = STORAGE,
				.authPolicy = {.size = 32, .buffer = {POLICY_LOW}},
				.parameters.eccDetail =
					{
						.symmetric = AES_CFB(128),
						.scheme.scheme = TPM2_ALG_NULL,
						.curveID = TPM2_ECC_NIST_P256,
						.kdf.scheme = TPM2_ALG_NULL,
					},
				.unique.ecc = {.x.size = 32, .y.size = 32}, // zeros
			},
	},
	{
		// H-3
		.nv = 0x01c00016,
		.by_policy = false,
		.public.publicArea =
			{
				.type = TPM2_ALG_ECC,
				.nameAlg = TPM2_ALG_SHA384,
				.objectAttributes = STORAGE | TPMA_OBJECT_USERWITHAUTH,
				.authPolicy = {.size = 48, .buffer = {POLICY_HIGH_384}},
				.parameters.eccDetail =
					{
						.symmetric = AES_CFB(256),
						.scheme.scheme = TPM2_ALG_NULL,
						.curveID = TPM2_ECC_NIST_P384,
						.kdf.scheme = TPM2_ALG_NULL,
					},
			},
	},
	{
		// L-1
		.nv = 0x01c00002,
		.by_policy = true,
		.public.publicArea =
			{
				.type = TPM2_ALG_RSA,
				.nameAlg = TPM2_ALG_SHA256,
				.objectAttributes = STORAGE,
				.authPolicy = {.size = 32, .buffer = {POLICY_LOW}},
				.parameters.rsaDetail =
					{
						.symmetric = AES_CFB(128),
						.scheme.scheme = TPM2_ALG_NULL,
						.keyBits = 2048,
					},
				.unique.rsa.size = 256, // zeros
			},
	},
};
const size_t tpm_ek_templates_n = sizeof tpm_ek_templates / sizeof *tpm_ek_templates;

const TPM2B_PUBLIC tpm_ak_template = {
	.publicArea =
		{
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = SIGNING,
			.parameters.eccDetail =
				{
					.symmetric.algorithm = TPM2_ALG_NULL,
					.scheme = {.scheme = TPM2_ALG_ECDSA,
						   .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
					.curveID = TPM2_ECC_NIST_P256,
					.kdf.scheme = TPM2_ALG_NULL,
				},
		},
};

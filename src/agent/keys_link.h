// SPDX-License-Identifier: Apache-2.0
// Payloads between keys and wire ("bytes", "text": u32 length and content; messages_agent.def):
//     IDENTITY   u8 enrolled  text TPM; if enrolled: bytes TLS key (P-256 scalar)
//                u8 n  n bytes chain (DER, leaf first)  bytes authority (PEM)  i64 renew after, ns
//     BATCH_KEY  key_id[8]  u8 algorithm  bytes CertifiedBatchKey
//     NEW_KEY    (nothing)
//     SIGN       u32 id  key_id[8]  hash[32]          SIGNED  u32 id  bytes signature, empty: no
//     key BEGIN      pin[32]  bytes BeginRequest ACTIVATE   text session  bytes blob  bytes seed
//     bytes nonce  u32 PCR mask COMPLETE   bytes CompleteRequest, empty: the TPM did not do its
//     part ENROLLED   u8 n  n bytes chain  bytes trust bundle REFUSED    text reason ATTEST     u32
//     id  u8 enum attest_purpose  bytes nonce  u32 PCR mask  bytes CertifiedBatchKey
//                (empty: the present one)             ATTESTED  u32 id  bytes request, empty:
//                refused
// wire decodes what comes from the network; keys sees only these flat pieces.
//
// The TLS key is handed to wire and lives in its memory: OpenSSL would have to be taught to ask
// another process in the middle of each handshake, and what it would save is small, because a TLS
// key alone lets nobody in: each session is attested by the TPM over this key (contracts.md 5).
// Used by agent: keys, wire.
#pragma once

enum attest_purpose { ATTEST_SESSION = 1, ATTEST_RENEW = 2 };
enum { KEYS_CHAIN_MAX = 8 };

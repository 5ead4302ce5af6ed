// SPDX-License-Identifier: Apache-2.0
#include "management/requirements.h"

#include <string.h>

const struct requirement requirements[] = {
	// clause 6, the twin itself
	{"6-data", "6", "C", "One repository is the source of every answer"},
	{"6-mapping", "6", "C", "Network and twin follow each other, live, both ways"},
	{"6-model", "6", "C", "Models are combined and run on the data"},
	{"6-interface", "6", "C", "Standard interfaces to the south and to the north"},
	{"6-state", "6", "C", "Health of devices, ports and links is visible"},
	{"6-app", "6", "C", "Applications deploy services through models"},
	// clause 8.1, the physical network
	{"8.1.1-1", "8.1.1", "M", "Devices prove their hardware and software"},
	{"8.1.1-2", "8.1.1", "M", "False devices are kept out, each with its reason"},
	{"8.1.2-1", "8.1.2", "M", "Nothing is asked of a device without a permit"},
	{"8.1.2-2", "8.1.2", "M", "Abnormal collection raises an alert"},
	{"8.1.2-3", "8.1.2", "R", "Trust in a network element is scored and has consequences"},
	// clause 8.2, interfaces
	{"8.2.1-1", "8.2.1", "M", "Both ends of each interface are authenticated and authorized"},
	{"8.2.1-2", "8.2.1", "M", "Changed bytes on the wire end the session"},
	{"8.2.1-3", "8.2.1", "R", "Nothing readable on the wire"},
	{"8.2.1-4", "8.2.1", "M", "Captured messages are worthless"},
	{"8.2.2-1", "8.2.2", "M", "A flood from the network harms nobody else"},
	{"8.2.3-1", "8.2.3", "R", "Control has a plane of its own"},
	{"8.2.3-2", "8.2.3", "R", "Conflicts are found; mandatory policy is never bypassed"},
	{"8.2.3-3", "8.2.3", "R", "Each domain reads only its part of an instruction"},
	{"8.2.3-4", "8.2.3", "M", "Every instruction is on record, end to end"},
	{"8.2.4-1", "8.2.4", "R", "Who may enter which intent depends on the business"},
	{"8.2.4-2", "8.2.4", "R", "A translated intent can be adjusted by hand"},
	// clause 8.3.1, the repository
	{"8.3.1-1", "8.3.1", "M", "Sensitive data is protected from creation to destruction"},
	{"8.3.1-2", "8.3.1", "M", "The repository itself holds least privilege"},
	{"8.3.1-3", "8.3.1", "M", "Each access to data is decided in fine grain"},
	{"8.3.1-4", "8.3.1", "M", "Personal data needs consent; sensitive use is audited"},
	{"8.3.1-5", "8.3.1", "M", "Data can be traced to its source and its readers"},
	{"8.3.1-6", "8.3.1", "M", "Data is classified in levels"},
	{"8.3.1-7", "8.3.1", "R", "Computing on data is protected too"},
	{"8.3.1-8", "8.3.1", "R", "Protection is chosen by what the data needs"},
	// clause 8.3.2, models
	{"8.3.2-1", "8.3.2", "M", "Models and their data are sealed and signed"},
	{"8.3.2-2", "8.3.2", "M", "A model may do what its purpose needs"},
	{"8.3.2-3", "8.3.2", "M", "Fetching a model is authorized everywhere"},
	{"8.3.2-4", "8.3.2", "M", "Bad models are found before they run"},
	{"8.3.2-5", "8.3.2", "M", "A model can be audited"},
	{"8.3.2-6", "8.3.2", "R", "Models stay sane under hostile input"},
	{"8.3.2-7", "8.3.2", "M", "Conflicts between models are found and ranked"},
	{"8.3.2-8", "8.3.2", "R", "Drift between model and network is watched"},
	{"8.3.2-9", "8.3.2", "R", "Each security domain has a twin of its own"},
	// clause 8.3.3, management
	{"8.3.3-1", "8.3.3", "M", "Users log in and have roles"},
	{"8.3.3-2", "8.3.3", "M", "Domains exchange models and data safely"},
	{"8.3.3-3", "8.3.3", "M", "Security policies are managed, with history"},
	{"8.3.3-4", "8.3.3", "M", "Every verb on every kind is authorized"},
	{"8.3.3-5", "8.3.3", "M", "Keys and credentials are managed for life"},
	{"8.3.3-6", "8.3.3", "M", "Devices are tested before production"},
	{"8.3.3-7", "8.3.3", "M", "Posture and patches are watched regularly"},
	{"8.3.3-8", "8.3.3", "M", "Incidents are planned for, run and closed"},
	{"8.3.3-9", "8.3.3", "M", "Tampering with records is found and told"},
	{"8.3.3-10", "8.3.3", "M", "Weak passwords and stale accounts are refused"},
	// clause 8.4, applications
	{"8.4-1", "8.4", "M", "Applications know their users and the twin"},
	{"8.4-2", "8.4", "M", "Applications' rights on models are checked at use"},
	{"8.4-3", "8.4", "M", "Applications hold the least rights"},
	{"8.4-4", "8.4", "M", "Applications are checked before they are deployed"},
	// clause 9, countermeasures
	{"9.1-lists", "9.1", "C", "Allow, deny and access lists; access tokens"},
	{"9.1-ledger", "9.1", "C", "A ledger that partners witness"},
	{"9.1-sba", "9.1", "C", "Access control of the service-based core is reused"},
	{"9.2-source", "9.2", "C", "Sources prove identity and behaviour"},
	{"9.2-transit", "9.2", "C", "Integrity on every hop"},
	{"9.2-storage", "9.2", "C", "Damage to stored data is found and named"},
	{"9.2-trace", "9.2", "C", "Origin and destination of data can be audited"},
	{"9.3-storage", "9.3", "C", "Encryption at rest, also one to many"},
	{"9.3-usage", "9.3", "C", "Masking and protection in use"},
	{"9.4", "9.4", "C", "Mechanisms are chosen, and chosen again"},
	// annex A, encryption from device to model
	{"A-1", "A", "C", "Separate functions, separate trust"},
	{"A-2", "A", "C", "A device subscribes with key, policy and name"},
	{"A-3", "A", "C", "The management function checks and answers it"},
	{"A-4", "A", "C", "Primary authentication yields a shared key"},
	{"A-5", "A", "C", "The shared key is anchored, and refreshed"},
	{"A-6", "A", "C", "The encapsulated key is given to the repository"},
	{"A-7", "A", "C", "The repository passes on what it cannot open"},
	{"A-8", "A", "C", "Only models whose attributes fit recover the key"},
	{"A-9", "A", "C", "Device and model talk under the shared key"},
	// clause 7, threats that the test lab carries out
	{"T-7.1.1", "7.1.1", "C", "Attack: an exploited sensor"},
	{"T-7.1.2", "7.1.2", "C", "Attack: an element through the twin"},
	{"T-7.2.1", "7.2.1", "C", "Attack: eavesdropping, tampering, over-collection, late data"},
	{"T-7.2.2", "7.2.2", "C", "Attack: false and conflicting instructions"},
	{"T-7.2.3", "7.2.3", "C", "Attack: a false intent"},
	{"T-7.2.4", "7.2.4", "C", "Attack: theft and tampering at the application interface"},
	{"T-7.3.1", "7.3.1", "C", "Attack: stored data and the twin itself"},
	{"T-7.3.2", "7.3.2", "C", "Attack: models, their input and their privileges"},
	{"T-7.3.3", "7.3.3", "C", "Attack: a missing or wrong policy"},
	{"T-7.4-s", "7.4", "C", "Attack: a spoofed twin or application"},
	{"T-7.4-r", "7.4", "C", "Attack: repudiation"},
	{"T-7.4-v", "7.4", "C", "Attack: an exploited application"},
};
const size_t requirements_count = sizeof requirements / sizeof *requirements;

const struct requirement *requirement_find(const char *id)
{
	for (size_t i = 0; i < requirements_count; i++)
		if (strcmp(requirements[i].id, id) == 0)
			return &requirements[i];
	return NULL;
}

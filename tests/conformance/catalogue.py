# SPDX-License-Identifier: Apache-2.0
"""Requirement -> (the control that a sabotaged build switches off, the check). In the order of the requirements."""

import check_devices
import check_interfaces
import check_measures
import check_operation
import check_repository
import check_twin

CHECKS = {
    "6-data": ("record-names", check_twin.records),
    "6-interface": ("standard-form", check_twin.third_parties),
    "6-state": ("mirror", check_twin.state_live),
    "8.1.1-1": ("software", check_devices.software),
    "8.1.1-2": ("identity", check_devices.identity),
    "8.1.2-1": ("collection-permit", check_devices.permit_first),
    "8.2.1-1": ("password", check_interfaces.credentials),
    "8.2.1-2": ("transit-integrity", check_interfaces.flipped_byte),
    "8.2.1-3": ("confidentiality", check_interfaces.nothing_readable),
    "8.2.1-4": ("replay", check_interfaces.replays),
    "8.2.2-1": ("source-rate", check_interfaces.flood),
    "8.3.1-2": ("grant", check_repository.outside_grant),
    "8.3.1-3": ("access", check_repository.fine_grained),
    "8.3.1-5": ("read-record", check_repository.traceable),
    "8.3.3-1": ("backoff", check_operation.users),
    "8.3.3-4": ("access", check_operation.verbs),
    "8.3.3-9": ("verify", check_operation.tampering),
    "8.3.3-10": ("password-rules", check_operation.pass_phrases),
    "9.1-ledger": ("witness", check_measures.forked_history),
    "9.2-source": ("ek", check_measures.source_evidence),
    "9.2-transit": ("tls-version", check_measures.transit),
    "9.2-storage": ("verify", check_measures.scrub),
    "9.2-trace": ("read-record", check_measures.lineage_both_ways),
}

// SPDX-License-Identifier: Apache-2.0
// What the fixture tells besides the twin and the ledger's tree: inventory, admission, histories, processes,
// alerts, conformance, in the shapes of src/management and src/repository.
const iso = ms => new Date(ms).toISOString();

export const history = [ // minutes ago, down, link
	[52, true, "core-1", "core-4"], [44, false, "core-1", "core-4"], [21, true, "access-staff", "core-4"],
	[17, false, "access-staff", "core-4"], [6, true, "core-2", "core-3"],
];

const places = {
	"access-guest": ["campus", "guest", "access"], "access-staff": ["campus", "office", "access"],
	"core-1": ["core", "backbone", "router"], "core-2": ["core", "backbone", "router"], "core-3": ["core",
		"backbone", "router"],
	"core-4": ["core", "backbone", "router"], "edge-1": ["edge", "backbone", "router"],
		"finance-1": ["data centre", "finance", "access"],
	"fw-1": ["data centre", "backbone", "firewall"], "isp-1": ["edge", "backbone", "peer"],
		"mgmt-1": ["data centre", "backbone", "management"],
	"servers-1": ["data centre", "servers", "access"],
};

export function devices(now) {
	return Object.entries(places).map(([id, [site, domain, role]], i) => ({
		id, kind: id === "isp-1" ? "gnmi" : "agent", site, domain, role,
		state: id === "mgmt-1" ? "quarantine" : "production", reason: id === "mgmt-1" ? "software-unknown" : null,
		since: iso(now - 3.4e6 - i * 9000), last_seen: iso(now - 400), attested: iso(now - 1.1e6 - i * 70e3),
		certificate_until: iso(now + 6.2 * 86400e3), version: 4,
	}));
}

function details(d, now) {
	const began = now - 3.6e6, step = (s, seconds, more) => ({ time: iso(began + seconds * 1000),
		actor: "management", ...s, ...more });
	const story = [
		step({ step: "added", state: "unknown", actor: "administrator" }, 0),
			step({ step: "invited", state: "invited", actor: "administrator" }, 14),
		step({ step: "token-proved", state: "invited" }, 61), step({ step: "tpm-proved", state: "invited" }, 62,
			{ detail: { manufacturer: "swtpm-localca" } }),
		step({ step: "enrolled", state: "quarantine" }, 62.4, { detail: { serial: "7f03a9c2" } }),
			step({ step: "tested", state: "tested" }, 66),
		step({ step: "attested", state: "attested" }, 66.3, { detail: { pcr17: "known" } }),
		d.state === "production" ? step({ step: "promoted", state: "production" }, 66.4)
			: step({ step: "refused", state: "quarantine", reason: "software-unknown",
				meaning: "What was started on the device (PCR 17) is not among the reference values.",
				fix: "If this version is meant to run, add its value to `references`; if not, install the agent anew." }, 67),
	];
	const hash = "5f0c1a77d2be61f0937c4bb0e1c1a8d4c9f7263d00b1c2a3948576e1f2d3c4b5";
	return {
		...d, created: iso(began), held: false, source: "10.255.0.1", certificate: { serial: "7f03a9c2",
			until: d.certificate_until, key_sha256: hash },
		tpm: { ek_sha256: hash, subject: "CN=swtpm", manufacturer: "CN=swtpm-localca" },
		evidence: { time: d.attested, software: "gemel-agent 0.1.0", pcr17: hash, agent_version: "0.1.0" },
		...(d.reason && { reason_meaning: "What was started on the device (PCR 17) is not among the reference values.",
			fix: "If this version is meant to run, add its value to `references`; if not, install the agent anew." }),
		checks: [{ name: "identity", verdict: "pass", detail: "certificate valid" }, { name: "software",
			verdict: d.reason ? "fail" : "pass", detail: d.reason ?? "known",
			...(d.reason && { fix: "Add its value to `references`." }) },
			{ name: "telemetry", verdict: "pass", detail: "answers under its grant" }],
		story: d.kind === "agent" ? story : story.slice(0, 1),
	};
}

export function record(f, now) {
	const began = now - 3.6e6;
	f.record(began - 60e3, "system.started", "gemeld", "parent", { version: "0.1.0" });
	for (const [i, d] of f.devices.entries()) {
		f.record(began + i * 9000, "device.created", d.id, "administrator", { kind: d.kind, site: d.site });
		f.record(began + 61e3 + i * 9000, "device.enrolled", d.id, "management", { serial: "7f03a9c2" });
		f.record(began + 66e3 + i * 9000, d.reason ? "device.refused" : "device.promoted", d.id, "management",
			d.reason ? { reason: d.reason } : { state: "production" });
	}
	f.record(now - 31 * 60e3, "device.refused", "fw-1", "management", { reason: "key-mismatch",
		source: "10.255.4.9" });
	f.record(now - 9 * 60e3, "account.login", "operator", "operator", { source: "127.0.0.1" });
	f.record(now - 4 * 60e3, "data.read", "fw-1", "operator", { class: "confidential", path: "/acl", items: 31,
		purpose: "console" });
	f.record(now - 55e3, "ledger.witness", "witness.partner.example", "repository", { good: true, size: 38 });
}

// --- histories: a steady rate, its tides, and what a cut does to it

const wave = (t, seed) => 1 + 0.32 * Math.sin(t / 640e3 + seed) + 0.16 * Math.sin(t / 97e3 + seed * 3) + 0.06 * Math.sin(t / 21e3 + seed * 7);

function downAt(f, a, b, t) {
	return f.cuts.filter(c => c.ms <= t && [c.a, c.b].sort().join() === [a, b].sort().join()).at(-1)?.down ?? false;
}

export async function series(f, q, at) {
	const device = q.get("device"), path = q.get("path"), leaf = path.split("/").at(-1);
	const to = Math.min(q.has("to") ? Date.parse(q.get("to")) : Infinity, at ?? Date.now()), from = q.has("from")
		? Date.parse(q.get("from")) : to - 3.6e6;
	const topology = await f.live.ask("topology"), items = [], step = 10000;
	for (const l of topology.links)
		for (const [end, other, share] of [[l.a, l.b, 1], [l.b, l.a, 0.31]]) {
			if (end.device !== device || device === "isp-1" || !/octets$/.test(leaf))
				continue;
			const seed = [...l.id].reduce((s, c) => s + c.charCodeAt(0), 0), out = leaf.startsWith("out");
			const base = (l.load.a_to_b_bps || 96e6 * 1) * (out ? share : 1.31 - share);
			let octets = 0;
			for (let t = Math.floor((f.start - 7.2e6) / step) * step; t <= to; t += step) {
				if (!downAt(f, end.device, other.device, t))
					octets += Math.round(base * wave(t, seed) * step / 8000);
				if (t >= from)
					items.push({ time: iso(t), device, path: `/interfaces/interface[name=${end.interface}]/state/counters/${leaf}`, value: octets, revision: 1 });
			}
		}
	return f.stamp({ items, next: null, from: iso(from), to: iso(to) }, at);
}

async function values(f, q, at) {
	const twin = await f.twinAt(at), items = [];
	const pattern = q.get("path") && new RegExp(`^${q.get("path").replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("\\*", "[^\\]]*").replaceAll("\\.\\.\\.", ".*")}`);
	const add = (device, path, value, name = "internal") => {
		if ((!pattern || pattern.test(path)) && (!q.get("class") || q.get("class") === name))
			items.push({ device, path, value, time: iso((at ?? Date.now()) - 900), class: name,
				revision: f.revision });
	};
	for (const d of f.devices.filter(x => !q.get("device") || x.id === q.get("device"))) {
		const s = await twin.ask("device", d.id);
		add(d.id, "/system/state/hostname", s.hostname);
		add(d.id, "/system/state/software-version", s.software);
		add(d.id, "/gemel/agent/state/version", s.agent, "public");
		for (const i of s.interfaces ?? []) {
			add(d.id, `/interfaces/interface[name=${i.name}]/state/oper-status`, i.oper_status);
			add(d.id, `/interfaces/interface[name=${i.name}]/state/mtu`, i.mtu);
		}
		for (const a of s.acls ?? [])
			for (const r of a.rules)
				add(d.id, `/acl/acl-sets/acl-set[name=${a.chain}][type=ACL_MIXED]/acl-entries/acl-entry[sequence-id=${r.sequence}]/actions/state/forwarding-action`, r.action, "confidential");
	}
	const from = Number(q.get("cursor") ?? 0), limit = Number(q.get("limit") ?? 200);
	return { items: items.slice(from, from + limit), next: items.length > from + limit ? String(from + limit)
		: null };
}

// --- lists

function entries(f, q, at) {
	const time = (name, otherwise) => q.has(name) ? Date.parse(q.get(name)) : otherwise;
	const kind = q.get("kind"), all = f.ledger.entries.filter(e => {
		const ms = Date.parse(e.time);
		return ms >= time("from", 0) && ms <= Math.min(time("to", Infinity), at ?? Infinity) &&
			(!kind || (kind.endsWith(".") ? e.kind.startsWith(kind) : e.kind === kind)) &&
			(!q.get("subject") || e.subject === q.get("subject")) && (!q.get("actor") ||
				e.actor === q.get("actor"));
	}).reverse();
	const from = Number(q.get("cursor") ?? 0), limit = Number(q.get("limit") ?? 100);
	return { items: all.slice(from, from + limit).map(({ index, time: t, kind: k, subject, actor, body }) =>
		({ index, time: t, kind: k, subject, actor, body })),
		next: all.length > from + limit ? String(from + limit) : null };
}

const requirements = `8.1.1-1 pass verify the integrity of a sensing device's hardware and software
8.1.1-2 pass verify a sensing device's identity, keep false devices out
8.1.2-1 pass authorize access to a network element before data is collected or control sent
8.1.2-2 none detect and warn of abnormal collection
8.1.2-3 none network elements are trustworthy
8.2.1-1 pass mutual authentication and authorization on every interface
8.2.1-2 pass integrity in transit
8.2.1-3 pass confidentiality in transit
8.2.1-4 fail replay protection
8.2.2-1 none survive denial of service from the network side
8.2.3-1 none management plane separate from other planes
8.2.3-4 none every control instruction recorded
8.3.1-1 none confidentiality, integrity, reliability of sensitive data for its whole life
8.3.1-3 pass access to data decided at the data, by class
8.3.1-7 pass interfaces of the repository protected
8.3.2-8 none consistency of basic model and physical network watched
8.3.3-1 pass authentication and authorization of platform users
8.3.3-4 pass create-read-update-delete of data, models, applications and users is authorized
8.3.3-9 pass log and audit; logs stored securely; attempts to alter them captured and reported
8.3.3-10 pass no weak or guessable passwords; regular change
8.4-2 none applications have privileges on models, checked at access
9.1-ledger pass distributed-ledger storage for non-repudiation among partners
9.2-storage pass damage and loss of stored data detected
A-1 none DTMF in the infrastructure layer; keys from the key distribution centre
6-mapping pass physical and twin stay mapped to each other in real time, both ways
6-data pass one repository is the single source of truth for all collected data
6-state pass running and health state of devices, ports and links can be seen
T-7.1.1 none exploited sensor`.split("\n").map(line => line.match(/^(\S+) (\S+) (.*)$/).slice(1));

function conformance(f) {
	const index = f.ledger.entries.find(e => e.body.reason === "key-mismatch").index;
	return { items: requirements.map(([id, verdict, requirement]) => ({
		id, clause: id.split("-")[0], level: "M", title: requirement, verdict, by: verdict === "none" ? null
			: "operator", when: verdict === "none" ? null : iso(f.start - 840e3), run: verdict === "none" ? null
			: "run-20261125-0712-9f3c",
		evidence: verdict === "none" ? null : verdict === "fail"
			? [{ observed: "a captured API call was accepted a second time",
				request: "POST /v1/devices/fw-1:test", expected: "409" }]
			: [{ observed: "refused with key-mismatch", ledger: index, source: "10.255.4.9" }],
	})), next: null };
}

function status(f) {
	const names = ["parent", "northbound", "telemetry", "control", "repository", "models", "management", "keys"];
	return {
		name: "gemel.example/campus", status: "ok", devices: { production: 11, quarantine: 1 }, alerts: 2,
			sessions: f.sessions.size, policy_version: 3, records_waiting: 0, processes: names.map((name, i) => ({
			name, running: true, pid: 4200 + i, uid: i ? 61000 + i : 0, restarts: name === "telemetry" ? 1 : 0,
				started: iso(f.start - 3.7e6 + (name === "telemetry" ? 1.9e6 : 0)),
			rss_bytes: [6, 14, 22, 7, 61, 38, 17, 8][i] * 1048576, sandbox: i
				? `seccomp ${38 + i} calls, Landlock ABI 3, no new privileges`
				: "supervises; parses no network byte",
			last_exit: name === "telemetry" ? "killed by signal 9" : "",
		})),
	};
}

const alerts = f => ({ items: [
	{ id: "a1", severity: "high", kind: "device.refused", subject: "fw-1", source: "10.255.4.9", count: 3,
		active: true, first: iso(f.start - 31 * 60e3), last: iso(f.start - 4 * 60e3),
		detail: "The certificate is genuine but the keys behind it are not the enrolled ones: it was copied.",
		fix: "Find the machine at this source; then revoke the device and enrol it anew, its key has leaked." },
	{ id: "a2", severity: "high", kind: "device.fell", subject: "mgmt-1", source: "10.255.11.2", count: 1,
		active: true, first: iso(f.start - 3.5e6), last: iso(f.start - 90e3),
		detail: "What was started on the device (PCR 17) is not among the reference values.",
		fix: "If this version is meant to run, add its value to `references`; if not, install the agent anew." },
	{ id: "a3", severity: "warning", kind: "process.restarted", subject: "telemetry", source: "parent", count: 1,
		active: false, first: iso(f.start - 1.8e6), last: iso(f.start - 1.8e6),
		detail: "killed by signal 9", fix: "See the process's own log; report it if it happens again." },
], next: null });

const stats = f => ({
	devices: 12, series: 5312, points_in_memory: 402231, memory_bytes: 9437184, store_bytes: 30189772,
		journal_bytes: 4194304, commits: 96,
	complete: true, read_only: false, damaged: null,
	classes: [["public", 24, 8112], ["internal", 4711, 17960011], ["confidential", 577, 434108]]
		.map(([name, series, points]) => ({ class: name, series, chunks: Math.ceil(points / 240), points,
			oldest: iso(f.start - 7.2e6), newest: iso(Date.now() - 700) })),
	ledger: { entries: f.ledger.entries.length, stored: f.ledger.entries.length, signed: f.ledger.entries.length,
		witnesses: [{ name: "witness.partner.example", size: f.ledger.entries.length, signed: true,
			last: iso(Date.now() - 2000), why: null }] },
});

const verify = f => ({ ok: true, damaged: [], checked: { rows: 8123, manifests: 96, journal_records: 1204,
	ledger_entries: f.ledger.entries.length }, started: iso(Date.now() - 410), took_ms: 410 });

const lineage = (f, q) => ({
	device: q.get("device"), path: q.get("path"), value: "UP", time: iso(Date.now() - 900), class: "internal",
		class_rule: "(default)", value_revision: f.revision,
	source: "signed by the device", batch: { seq: 10442, revision: f.revision, records: 31,
		received: iso(Date.now() - 880), hash: "5f0c1a77d2be61f0937c4bb0e1c1a8d4c9f7263d00b1c2a3948576e1f2d3c4b5",
		signed: true, algorithm: "Ed25519", key_id: "9d1f0c2a7be1d2c4",
			signature: "mDdhX1bJm4rj0b4c0k0kqv2C4n1m9B0c1yqUeR6g0s8=", verified: true },
	grant: 14, route: [q.get("device"), "telemetry: TLS 1.3, mutual",
		"repository: signature, chain and grant checked"],
	stored: { place: "journal and memory: not in a chunk yet" }, decided_by: "viewer-reads-internal",
		reads_recorded: false,
	readers: [{ entry: f.ledger.entries.length - 2, time: iso(f.start - 4 * 60e3), actor: "operator",
		purpose: "console", class: "internal", count: 31, operation: "data.query" }],
});

const modelsStatus = () => ({ ready: true, rebuilding: false, devices: 12, series: 5312, objects: 1204,
	records: 918223, ignored: 0, memory_bytes: 29360128,
	state_bytes: 2202009, pasts: 1, waiting: 0, stale_after_s: 60, stale_devices: ["isp-1"] });

export async function answer(f, path, q, at, device) {
	if (device) {
		const d = f.devices.find(x => x.id === device);
		return d && details({ ...d, last_seen: iso(Date.now() - 400) }, f.start);
	}
	switch (path) {
	case "/v1/sessions/current": return { account: "operator", roles: ["operator"],
		until: iso(Date.now() + 8 * 3.6e6) };
	case "/v1/devices": return { items: f.devices, next: null };
	case "/v1/ledger/entries": return entries(f, q, at);
	case "/v1/conformance": return conformance(f);
	case "/v1/status": return status(f);
	case "/v1/alerts": return alerts(f);
	case "/v1/data:stats": return stats(f);
	case "/v1/data:verify": return verify(f);
	case "/v1/data:query": return values(f, q, at);
	case "/v1/data:lineage": return lineage(f, q);
	case "/v1/models/status": return modelsStatus();
	default: return null;
	}
}

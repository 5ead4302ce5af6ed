// SPDX-License-Identifier: Apache-2.0
// Numbers and times for reading. Nothing here guesses: what is not known is shown as such.

export const unknown = "\u2013";

// "0.3 s", "12 s", "4 min", "2 h 10 min", "3 d"
export function span(ms) {
	if (!Number.isFinite(ms))
		return unknown;
	const s = Math.max(0, ms) / 1000;
	if (s < 0.1)
		return `${Math.round(Math.max(0, ms))} ms`;
	if (s < 10)
		return `${s.toFixed(1)} s`;
	if (s < 90)
		return `${Math.round(s)} s`;
	const min = Math.round(s / 60);
	if (min < 60)
		return `${min} min`;
	const hours = Math.floor(min / 60);
	if (hours < 24)
		return min % 60 ? `${hours} h ${min % 60} min` : `${hours} h`;
	const days = Math.floor(hours / 24);
	return hours % 24 && days < 3 ? `${days} d ${hours % 24} h` : `${days} d`;
}

// RFC 3339 with up to nine decimals, or nanoseconds, or milliseconds since 1970, as milliseconds.
export function timeOf(value) {
	if (typeof value === "number" && value > 0)
		return value > 1e16 ? value / 1e6 : value > 1e11 ? value : value * 1000;
	if (typeof value !== "string" || !value)
		return NaN;
	if (/^\d{17,20}$/.test(value))
		return Number(value) / 1e6;
	return Date.parse(value.replace(/(\.\d{3})\d+/, "$1"));
}

const two = n => String(n).padStart(2, "0");

export function clockTime(ms, withMillis = false) {
	const d = new Date(ms);
	if (Number.isNaN(d.getTime()))
		return unknown;
	const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
	return withMillis ? `${text}.${String(d.getMilliseconds()).padStart(3, "0")}` : text;
}

export function dayTime(ms, withMillis = false) {
	const d = new Date(ms);
	if (Number.isNaN(d.getTime()))
		return unknown;
	return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clockTime(ms, withMillis)}`;
}

// Today's times without the day.
export function shortTime(ms, now) {
	return new Date(ms).toDateString() === new Date(now).toDateString() ? clockTime(ms) : dayTime(ms);
}

function scaled(value, step, units) {
	let unit = 0;
	while (Math.abs(value) >= step && unit < units.length - 1) {
		value /= step;
		unit++;
	}
	const digits = value !== 0 && Math.abs(value) < 10 && unit > 0 ? 1 : 0;
	return `${value.toFixed(digits)} ${units[unit]}`;
}

export function bits(bps) {
	return Number.isFinite(bps) ? scaled(bps, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]) : unknown;
}

// For labels on the map: "640M"
export function bitsShort(bps) {
	return Number.isFinite(bps) ? scaled(bps, 1000, ["b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s"]) : unknown;
}

export function bytes(n) {
	return Number.isFinite(n) ? scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]) : unknown;
}

export function count(n) {
	return Number.isFinite(n) ? n.toLocaleString("en").replaceAll(",", "\u2009") : unknown;
}

export function percent(share) {
	if (!Number.isFinite(share))
		return unknown;
	const p = share * 100;
	return p > 0 && p < 1 ? "<1 %" : `${Math.round(p)} %`;
}

// Hashes are for comparing: their beginning tells them apart.
export const shortHashes = text => text.replace(/\b([0-9a-f]{12})[0-9a-f]{20,}\b/g, "$1\u2026");

const acronyms = { bps: "bit/s", id: "id", url: "URL", tls: "TLS", tpm: "TPM", mac: "MAC", mtu: "MTU" };

// "last_change" -> "last change"
export function words(key) {
	return key.split(/[_-]/).map(part => acronyms[part] ?? part).join(" ");
}

// Any JSON value in one line.
export function plain(value) {
	if (value === null || value === undefined || value === "")
		return unknown;
	if (value === true)
		return "yes";
	if (value === false)
		return "no";
	if (Array.isArray(value) && value.every(v => typeof v !== "object"))
		return value.length ? value.join(", ") : "none";
	if (typeof value !== "object")
		return String(value);
	const flat = !Array.isArray(value) && Object.values(value).every(v => typeof v !== "object");
	return flat ? Object.entries(value).map(([k, v]) => `${words(k)} ${v}`).join(", ") : JSON.stringify(value);
}

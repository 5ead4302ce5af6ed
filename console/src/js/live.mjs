// SPDX-License-Identifier: Apache-2.0
// Keeping a part of the page true: it is asked for again when an event says that it changed, when the
// moment changes, and from time to time, because ages and loads have no events. In the past nothing
// changes, and nothing is asked twice. A hidden tab rests.
import { moment, onMoment } from "./moment.mjs";
import { onEvent } from "./events.mjs";

const shortest = 250; // ms between two askings of one thing, however many events come

// load(signal) -> answer; on: beginnings of event types; every: ms, 0 never.
// show(answer) and fail(problem) draw. Gives {stop, again}.
export function watch({ load, show, fail, on = [], every = 5000, past = true }) {
	let timer = 0, abort = null, asked = -Infinity, ended = false, due = false;

	async function ask() {
		clearTimeout(timer);
		abort?.abort();
		const mine = abort = new AbortController();
		asked = performance.now();
		due = false;
		let answer = null, problem = null;
		try {
			answer = await load(mine.signal);
		} catch (e) {
			problem = e;
		}
		if (ended || mine !== abort)
			return;
		again();
		if (answer)
			show(answer);
		else
			fail(problem);
	}

	function again() {
		abort = null;
		if (due)
			soon();
		else if (every && (moment.at === null || !past))
			timer = setTimeout(ask, document.hidden ? every * 12 : every);
	}

	function soon() {
		if (abort) { // an answer is on its way and may be older than the event
			due = true;
			return;
		}
		clearTimeout(timer);
		timer = setTimeout(ask, Math.max(0, shortest - (performance.now() - asked)));
	}

	const ends = [
		onEvent((event, replayed) => {
			if (!replayed && (moment.at === null || !past) &&
			    (event.type === "gap" || on.some(begin => event.type.startsWith(begin))))
				soon();
		}),
		onMoment(() => past && ask()),
	];
	const onVisible = () => !document.hidden && (moment.at === null || !past) && soon();
	document.addEventListener("visibilitychange", onVisible);
	ask();
	return {
		again: ask,
		stop() {
			ended = true;
			clearTimeout(timer);
			abort?.abort();
			ends.forEach(end => end());
			document.removeEventListener("visibilitychange", onVisible);
		},
	};
}

// Several to be ended together.
export function bundle(...watches) {
	return () => watches.forEach(w => typeof w === "function" ? w() : w.stop());
}

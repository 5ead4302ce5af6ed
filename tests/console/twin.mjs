// SPDX-License-Identifier: Apache-2.0
// The engine of the models process as a child: commands in, JSON out, in order.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export class Twin {
	constructor(program, startMs) {
		this.child = spawn(program, [`${Math.round(startMs)}000000`], { stdio: ["pipe", "pipe", "inherit"] });
		this.waiting = [];
		createInterface({ input: this.child.stdout }).on("line", line => this.waiting.shift()(line));
		this.child.on("exit", code => {
			this.waiting.splice(0).forEach(f => f(JSON.stringify({ code: "INTERNAL",
				problem: `the engine ended with ${code}` })));
		});
	}
	say(...words) {
		return new Promise(resolve => {
			this.waiting.push(resolve);
			this.child.stdin.write(`${words.map(w => w || "-").join(" ")}\n`);
		});
	}
	async ask(...words) {
		return JSON.parse(await this.say(...words));
	}
	time(ms) {
		return this.say("time", `${Math.round(ms)}000000`);
	}
	end() {
		this.child.stdin.end();
	}
}

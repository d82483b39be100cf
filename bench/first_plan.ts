/**
 * What the first plan of a process takes, which compiles the claim, and the second
 * one: milliseconds of processor time, all threads together, of 64 partitions and 8
 * nodes. Each plan is made by processes of its own; the ring in it is read, as at an
 * operator's, and not made by a claim of the same process.
 *
 *     deno task bench:first_plan
 */
import process from "node:process";
import type { Ring } from "../src/ring/ring.ts";
import { decodeRing, encodeRing } from "../src/ring/ring_codec.ts";
import { computePlan } from "../src/ring/staged_plan.ts";
import { say } from "./say.ts";
import { stagedRings } from "./staged_rings.ts";

const PROCESSES = 10;

/** Plans in `ring` twice; the milliseconds of each. */
function planTwice(ring: Ring): [first: number, second: number] {
  const plan = (): number => {
    const before = process.cpuUsage();
    computePlan(ring, 4);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  return [plan(), plan()];
}

/** The same in a new process. */
async function planTwiceAnew(ring: Ring): Promise<[number, number]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", import.meta.filename!, "child"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(encodeRing(ring).bytes);
  await writer.close();
  const { stdout } = await child.output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** `10 (9 to 14)`: the median and all it lies between. */
function range(figures: number[]): string {
  figures.sort((a, b) => a - b);
  const [least, median, most] = [0, figures.length >> 1, figures.length - 1]
    .map((i) => figures[i]!.toFixed(1));
  return `${median} (${least} to ${most})`;
}

if (Deno.args[0] === "child") {
  const bytes = await new Response(Deno.stdin.readable).bytes();
  say(JSON.stringify(planTwice(decodeRing(bytes).ring)));
} else {
  for (const [name, ringOf] of stagedRings(64, 8)) {
    const ring = ringOf();
    const firsts: number[] = [];
    const seconds: number[] = [];
    for (let i = 0; i < PROCESSES; i++) {
      const [first, second] = await planTwiceAnew(ring);
      firsts.push(first);
      seconds.push(second);
    }
    say(`${name.padEnd(40)} ${range(firsts).padEnd(20)} ${range(seconds)}`);
  }
}

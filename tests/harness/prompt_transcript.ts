/**
 * A story told at prompts, as documents print it, that is played on real nodes:
 *
 *     $ deno task rc_example dev1          starts a node, on a free port
 *     dev1@127.0.0.1> 6 * 7                is typed at it,
 *     42                                   and this must be its answer
 *     12:13:14.156 [info] GET k1           its log has a line like this, or soon will
 *     # soon                               the next answer may take some asking
 *     # dev2 logs                          whose log the next lines are
 *     # dev2 has ended                     it has, or soon will have
 *     $ pkill -KILL -f "rc_example/main.ts dev2"
 *     $ rm -rf data/rc_example             ends all nodes, and removes what they kept
 *
 * `…` stands for whatever is there. An address in what is typed is where the node
 * of that name really listens.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { isLogLine, type PromptProcess } from "./prompt_process.ts";
import { until } from "./until.ts";

/** How long an answer that comes soon may take, in milliseconds. */
const SOON_MS = 20_000;

/** One thing that is done or expected. */
type Step =
  | {
    readonly type: "type";
    readonly node: string;
    readonly code: string;
    readonly soon: boolean;
    readonly expected: string[];
  }
  | { readonly type: "log"; readonly node: string; readonly line: string }
  | {
    readonly type: "start";
    readonly node: string;
    readonly flags: readonly string[];
  }
  | { readonly type: "kill"; readonly node: string }
  | { readonly type: "ended"; readonly node: string }
  | { readonly type: "clean" };

/** The nodes of a story. */
export interface TranscriptNodes {
  /** Name of the task that starts them, and of its folder in `examples/`. */
  readonly example: string;
  /** Starts the node of that name; where it was before, if it was. */
  start(name: string, flags: readonly string[]): Promise<void>;
  /** The node of that name, if it runs. */
  readonly running: ReadonlyMap<string, PromptProcess>;
  /** Where the node of that name listens. */
  addressOf(name: string): string;
  /** Ends all nodes and removes what they kept. */
  clean(): Promise<void>;
}

/** Plays the blocks of `markdown` that are fenced as `console`. */
export async function playTranscript(
  markdown: string,
  nodes: TranscriptNodes,
): Promise<void> {
  const starting: Promise<void>[] = [];
  for (
    const step of consoleBlocks(markdown).flatMap((block) =>
      stepsOf(block, nodes.example)
    )
  ) {
    // Nodes that are started one after the other start beside each other.
    if (step.type === "start") {
      starting.push(nodes.start(step.node, step.flags));
      continue;
    }
    await Promise.all(starting.splice(0));
    await play(step, nodes);
  }
  await Promise.all(starting);
}

/** The text of each block that is fenced as `console`. */
export function consoleBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```console\n(.*?)^```$/gms)]
    .map(([, block]) => block!);
}

function stepsOf(block: string, example: string): Step[] {
  const steps: Step[] = [];
  let node = "";
  let soon = false;
  for (const line of block.trimEnd().split("\n")) {
    const typed = /^(\w+)@[\w.]+> (.*)$/.exec(line);
    const last = steps.at(-1);
    if (typed !== null) {
      node = typed[1]!;
      steps.push({ type: "type", node, code: typed[2]!, soon, expected: [] });
      soon = false;
    } else if (line.startsWith("$ ")) {
      steps.push(orderOf(line.slice(2), example));
    } else if (line.startsWith("# ")) {
      soon = line === "# soon";
      const ended = /^# (\w+) has ended$/.exec(line)?.[1];
      if (ended !== undefined) steps.push({ type: "ended", node: ended });
      node = /^# (\w+) logs$/.exec(line)?.[1] ?? node;
    } else if (isLogLine(line)) steps.push({ type: "log", node, line });
    else if (last?.type === "type") last.expected.push(line);
    else if (line !== "") throw new Error(`Nobody can have said: ${line}`);
  }
  return steps;
}

function orderOf(line: string, example: string): Step {
  const [, started, flags] = new RegExp(
    `^deno task ${example} (\\w+)(.*)$`,
  ).exec(line) ?? [];
  if (started !== undefined) {
    return {
      type: "start",
      node: started,
      flags: flags!.split(" ").filter((flag) => flag !== ""),
    };
  }
  const killed = new RegExp(`^pkill -KILL -f "${example}/main\\.ts (\\w+)"$`)
    .exec(line);
  if (killed !== null) return { type: "kill", node: killed[1]! };
  if (line === `rm -rf data/${example}`) return { type: "clean" };
  throw new Error(`No order that can be played: ${line}`);
}

async function play(
  step: Exclude<Step, { type: "start" }>,
  nodes: TranscriptNodes,
): Promise<void> {
  switch (step.type) {
    case "kill":
      return await nodeOf(step.node, nodes).kill();
    case "ended":
      return await until(
        `${step.node} ends`,
        () => Promise.resolve(nodeOf(step.node, nodes).ended),
        SOON_MS,
      );
    case "clean":
      return await nodes.clean();
    case "log":
      return await nodeOf(step.node, nodes).logged(
        // Times differ from one day to the next.
        new RegExp(`^.{12}${patternOf(step.line.slice(12))}$`),
      );
    case "type":
      return await typeAt(step, nodes);
    default:
      return step satisfies never;
  }
}

async function typeAt(
  { node, code, soon, expected }: Extract<Step, { type: "type" }>,
  nodes: TranscriptNodes,
): Promise<void> {
  const prompt = nodeOf(node, nodes);
  const typed = code.replace(
    /(\w+)@127\.0\.0\.1:\d+/g,
    (_, name) => `${name}@${nodes.addressOf(name)}`,
  );
  const wanted = expected.join("\n").trimEnd();
  const pattern = new RegExp(`^${patternOf(wanted)}$`);
  let answer = (await prompt.ask(typed)).join("\n").trimEnd();
  if (soon) {
    await until(
      () => `${node}> ${code}\n${wanted}\nbut\n${answer}`,
      async () => {
        if (pattern.test(answer)) return true;
        answer = (await prompt.ask(typed)).join("\n").trimEnd();
        return pattern.test(answer);
      },
      SOON_MS,
    );
  }
  if (wanted.includes("…")) assertMatch(answer, pattern, `${node}> ${code}`);
  else assertEquals(answer, wanted, `${node}> ${code}`);
}

function nodeOf(name: string, nodes: TranscriptNodes): PromptProcess {
  const node = nodes.running.get(name);
  if (node === undefined) throw new Error(`${name} does not run`);
  return node;
}

/** `text` as a regular expression in which `…` is anything on one line. */
export function patternOf(text: string): string {
  return RegExp.escape(text).replaceAll(/…|\\u2026/g, ".*");
}

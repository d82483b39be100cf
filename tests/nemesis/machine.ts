/**
 * What this machine can do to nodes. A fault that it cannot do is skipped with
 * the reason that is found here, never left out without a word.
 *
 * @module
 */
import { compileFaultLibrary, type FaultLibrary } from "./fault_library.ts";

/** What can be done; a text is the reason why not. */
export interface Machine {
  /** Harms disks and clocks. */
  readonly library: FaultLibrary;
  /** Why nodes cannot be put into network namespaces that lose packets, if they cannot. */
  readonly namespaces: string | undefined;
}

/** Runs a command and returns what it said. @throws {Error} If it fails or is not there. */
export async function run(
  program: string,
  ...args: string[]
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  const said = decoder.decode(stderr).trim().split("\n")[0];
  throw new Error(`${[program, ...args].join(" ")}: ${said}`);
}

/** Finds out what can be done. @param folder Where a library may be made. */
export async function exploreMachine(folder: string): Promise<Machine> {
  const [library, namespaces] = await Promise.all([
    compileFaultLibrary(folder),
    whyNoNamespaces(),
  ]);
  return { library, namespaces };
}

async function whyNoNamespaces(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") {
    return `network namespaces are of Linux, this is ${Deno.build.os}`;
  }
  const { state } = await Deno.permissions.query({ name: "net" });
  if (state !== "granted") return "only loopback addresses are permitted";
  const name = `wnprobe${Deno.pid}`;
  try {
    await run("nft", "--version");
    await run("ip", "netns", "add", name);
  } catch (error) {
    return reason(error);
  }
  try {
    // The kernel may know fewer rules than the tool.
    const inside = ["ip", "netns", "exec", name, "nft"];
    for (const rule of [...LOSS_TABLE, lossRule(10)]) {
      await run(inside[0] as string, ...inside.slice(1), ...rule);
    }
    return undefined;
  } catch (error) {
    return reason(error);
  } finally {
    await run("ip", "netns", "del", name);
  }
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) {
    return `${/'(\w+)'/.exec(error.message)?.[1] ?? "a command"} is not there`;
  }
  return (error as Error).message;
}

/** Makes the place where {@linkcode lossRule} goes. */
export const LOSS_TABLE: readonly (readonly string[])[] = [
  ["add", "table", "inet", "nemesis"],
  [
    "add",
    "chain",
    "inet",
    "nemesis",
    "arrival",
    "{ type filter hook prerouting priority 0 ; }",
  ],
];

/** Loses so many packets in a hundred where they arrive: TCP hardly notices losses where they are sent. */
export function lossRule(percent: number): readonly string[] {
  const rule = `numgen random mod 100 < ${percent} drop`;
  return ["add", "rule", "inet", "nemesis", "arrival", ...rule.split(" ")];
}

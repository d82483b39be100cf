/**
 * A world for unit tests of commands: captured output, given input and
 * environment, and sessions from {@linkcode fakeSession}.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import type {
  OpenSessionOptions,
  SessionTarget,
} from "../../src/node/admin_protocol.ts";
import { runCommandLine } from "../main.ts";
import { type CapturedOutput, capturedOutput } from "../output.ts";
import type { World } from "../world.ts";
import type { FakeSession } from "./fake_session.ts";

/** What a command line did. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly remarks: string;
  /** The targets sessions were opened to, with their options. */
  readonly opened: { target: SessionTarget; options: OpenSessionOptions }[];
}

/** What the world is like. */
export interface FakeWorldOptions {
  /** Who answers; nobody runs if absent. */
  readonly session?: FakeSession;
  readonly env?: Record<string, string>;
  readonly input?: string;
  readonly output?: CapturedOutput;
  readonly onStopSignal?: World["onStopSignal"];
}

/** Runs one command line, given as words or as a string split at spaces. */
export async function run(
  line: string | readonly string[],
  options: FakeWorldOptions = {},
): Promise<Ran> {
  const output = options.output ?? capturedOutput();
  const opened: Ran["opened"] = [];
  const world = fakeWorld(output, options, opened);
  const words = typeof line === "string"
    ? line.split(" ").filter((word) => word !== "")
    : line;
  const code = await runCommandLine(words, world);
  return { code, out: output.written, remarks: output.remarks, opened };
}

/** A world that writes to `output` and adds to `opened`. */
export function fakeWorld(
  output: CapturedOutput,
  options: FakeWorldOptions = {},
  opened: Ran["opened"] = [],
): World {
  return {
    output,
    input: {
      isTerminal: false,
      bytes: () =>
        new Blob([options.input ?? ""]).stream() as ReadableStream<
          Uint8Array<ArrayBuffer>
        >,
    },
    env: (name) => options.env?.[name],
    onStopSignal: options.onStopSignal ??
      (() => ({ [Symbol.dispose]() {} })),
    openSession: (target, { signal: _, ...sessionOptions } = {}) => {
      opened.push({ target, options: sessionOptions });
      return options.session === undefined
        ? Promise.reject(
          new WhorlError("node_not_running", "Cannot connect: nobody answers"),
        )
        : Promise.resolve(options.session);
    },
    startNode: () => Promise.reject(new Error("no node in unit tests")),
    self: { program: "deno", args: () => ["run", "whorl.ts"] },
    version: "1.2.3",
  };
}

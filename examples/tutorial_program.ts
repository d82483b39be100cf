/**
 * What the programs of the tutorial systems have in common: their arguments,
 * their log, their prompt, and how they end.
 *
 * @module
 */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { configure, type LogRecord } from "npm:@logtape/logtape@2.4.2";
import { type NodePromptOptions, runPrompt, type WhorlNode } from "../mod.ts";

/** Where a node and its HTTP interface listen unless told otherwise. */
export interface ProgramPorts {
  readonly port: string;
  readonly http?: string;
}

/** What a program takes. */
export interface ProgramRules {
  /** What it says to arguments that it does not understand. */
  readonly usage: string;
  /** Ports of the nodes it knows by name. */
  readonly ports: Readonly<Record<string, ProgramPorts>>;
  /** Flags besides those that all have. @default {none} */
  readonly flags?: Readonly<NonNullable<ParseArgsConfig["options"]>>;
}

/** What it was given. */
export interface ProgramArguments {
  readonly name: string;
  readonly port: string;
  readonly http: string | undefined;
  readonly data: string | undefined;
  readonly durable: boolean;
  readonly cookie: string;
  readonly quiet: boolean | undefined;
}

const FLAGS = {
  port: { type: "string" },
  data: { type: "string" },
  durable: { type: "boolean", default: false },
  cookie: { type: "string", default: "a secret all nodes share" },
  help: { type: "boolean", default: false },
} as const;

/** With `--help` the process ends here. @throws {TypeError} With the usage, and what was not understood. */
export function argumentsOf(
  args: string[],
  { usage, ports, flags = {} }: ProgramRules,
): ProgramArguments {
  const options = { ...FLAGS, ...flags };
  const { values, positionals, tokens } = parseArgs({
    args,
    allowPositionals: true,
    // What is not known is looked for below, to be told with the usage.
    strict: false,
    tokens: true,
    options,
  });
  const given = values as unknown as ProgramArguments;
  if (values.help === true) {
    Deno.stdout.writeSync(new TextEncoder().encode(`${usage}\n`));
    Deno.exit(0);
  }
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const flag = Object.hasOwn(options, token.name)
      ? options[token.name as keyof typeof options]
      : undefined;
    if (flag === undefined) {
      throw new TypeError(`${usage}\n\nThere is no ${token.rawName}`);
    }
    // `--data --durable` has lost its directory, and is not one of that name.
    const hasValue = token.value !== undefined &&
      (token.inlineValue || !token.value.startsWith("--"));
    if (hasValue !== (flag.type === "string")) {
      const rule = hasValue ? "takes no value" : "needs a value";
      throw new TypeError(`${usage}\n\n${token.rawName} ${rule}`);
    }
  }
  const [name, ...rest] = positionals;
  if (name === undefined) throw new TypeError(usage);
  if (rest.length > 0) {
    throw new TypeError(`${usage}\n\nOne NAME is enough: ${rest[0]}`);
  }
  const known = ports[name];
  const port = given.port ?? known?.port;
  if (port === undefined) {
    throw new TypeError(`${usage}\n\n${name} needs a --port`);
  }
  return { ...given, name, port, http: given.http ?? known?.http };
}

/** The log of a program: lines on standard error, or above the line a person is typing. */
export class ProgramLog {
  #print = remark;

  /** Shows what Whorl logs from `lowestLevel` on. */
  static async open(lowestLevel: "info" | "warning"): Promise<ProgramLog> {
    const log = new ProgramLog();
    await configure({
      sinks: { lines: (record) => log.#say(record) },
      loggers: [
        { category: ["whorl"], lowestLevel, sinks: ["lines"] },
        {
          category: ["logtape", "meta"],
          lowestLevel: "warning",
          sinks: ["lines"],
        },
      ],
    });
    return log;
  }

  /** Says something itself. */
  say(text: string): void {
    this.#say({
      timestamp: Date.now(),
      level: "info",
      message: [text],
      properties: {},
    });
  }

  /** For `runPrompt`: lines go through `print` from now on. */
  readonly onTerminal = (print: (line: string) => void): void => {
    this.#print = print;
  };

  #say(
    { timestamp, level, message, properties }: Pick<
      LogRecord,
      "timestamp" | "level" | "message" | "properties"
    >,
  ): void {
    const time = new Date(timestamp).toISOString().slice(11, 23);
    // News reads as in the tutorials; what went wrong is told in full.
    const data = level === "info" ? "" : inLine(properties);
    const text = message.map(String).join("") + data;
    // Keys come from anybody: they cannot forge a line or steer a terminal.
    this.#print(`${time} [${level}] ${text.replaceAll(/\p{Cc}/gu, " ")}`);
  }
}

function inLine(properties: Readonly<Record<string, unknown>>): string {
  return Object.entries(properties).map(([name, value]) =>
    ` ${name}=${
      Deno.inspect(value, { compact: true, breakLength: Infinity, depth: 4 })
    }`
  ).join("");
}

// Results go to standard output, so that a script finds nothing else there.
function remark(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** The prompt of a program. */
export interface ProgramPrompt
  extends Required<Pick<NodePromptOptions, "names" | "help">> {
  /** Printed first on a terminal. @default {as `runPrompt` has it} */
  readonly banner?: string;
  /** Where the lines typed are remembered. */
  readonly dataDirectory: string;
  readonly log: ProgramLog;
}

/**
 * Runs the prompt of `node` until somebody leaves it or the process gets SIGTERM.
 *
 * @returns The exit status: 1 if a script on standard input failed, otherwise 0.
 * @throws {WhorlError} If the prompt is over because the node gave up.
 */
export async function promptOn(
  node: WhorlNode,
  { dataDirectory, log, ...options }: ProgramPrompt,
): Promise<number> {
  const ended = new AbortController();
  Deno.addSignalListener("SIGTERM", () => ended.abort());
  const wentWell = await runPrompt(node, {
    ...options,
    ending: "stops the node",
    historyPath: `${dataDirectory}/prompt_history`,
    signal: ended.signal,
    onTerminal: log.onTerminal,
  });
  // `stopped` may still be pending; only its rejection matters here.
  await Promise.race([node.stopped, undefined]);
  return wentWell || Deno.stdin.isTerminal() ? 0 : 1;
}

/** Ends the process with what `main` resolves to, or with 2 and what went wrong. */
export async function run(main: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await main());
  } catch (error) {
    remark(error instanceof Error ? error.message : String(error));
    Deno.exit(2);
  }
}

/**
 * The prompt: reads JavaScript from a terminal or a pipe, evaluates it with the
 * given names in scope, and prints the results.
 *
 * On a terminal it has history, completion and multi-line input; Ctrl-C clears
 * the line or interrupts the running command, Ctrl-D ends the prompt. From a
 * pipe it prints results only, and reports at the end whether anything failed.
 *
 * @module
 */
import process from "node:process";
import {
  clearLine,
  createInterface,
  cursorTo,
  type Interface,
} from "node:readline";
import { isWhorlError } from "../base/errors.ts";
import { PromptHistory } from "./prompt_history.ts";
import { terminalColumns } from "./terminal_columns.ts";
import { Evaluator } from "./evaluator.ts";
import { TypedInput } from "./typed_input.ts";

/** How a prompt is set up. */
export interface PromptOptions {
  /** Stands before each line. */
  readonly label: string;
  /** Names in scope. */
  readonly scope: Readonly<Record<string, unknown>>;
  /** What `.help` prints. */
  readonly help: string;
  /** Printed first on a terminal. */
  readonly banner?: string;
  /** What ending the prompt does, as text after "Ctrl-D or .exit". */
  readonly ending: string;
  /** The history file; without it, lines are not remembered. */
  readonly historyPath?: string;
  readonly isTerminal: boolean;
  readonly color: boolean;
  /** Called before each command with the signal that fires when it is interrupted. */
  readonly onCommand?: (signal: AbortSignal) => void;
  /** Ends the prompt. */
  readonly signal?: AbortSignal;
}

/** A prompt that reads from this process's standard input. */
export class Prompt {
  #options: PromptOptions;
  #readline: Interface;
  /** Terminal input; undefined for a pipe. */
  #typed: TypedInput | undefined;
  #evaluator: Evaluator;
  #history: PromptHistory;
  /** Lines that arrived while another one is evaluated. */
  #waiting: string[] = [];
  /** Incomplete code that the next line continues. */
  #begun = "";
  #running: AbortController | undefined;
  #closed = Promise.withResolvers<void>();
  #inputEnded = false;
  #failures = 0;

  constructor(options: PromptOptions) {
    this.#options = options;
    this.#evaluator = new Evaluator(options.scope);
    // Lines of a script do not belong in the history.
    this.#history = new PromptHistory(
      options.isTerminal ? options.historyPath : undefined,
    );
    this.#typed = options.isTerminal
      ? new TypedInput(() => this.#interrupt())
      : undefined;
    this.#readline = createInterface({
      input: this.#typed ?? process.stdin,
      // A pipe gets results only: no label and no echo.
      ...(options.isTerminal ? { output: process.stdout } : {}),
      terminal: options.isTerminal,
      prompt: `${options.label}> `,
      history: this.#history.lines,
      historySize: this.#history.linesMax,
      removeHistoryDuplicates: true,
      completer: (line: string, done: CompleterDone) => {
        this.#complete(line).then((found) => done(null, found), done);
      },
    });
  }

  /** Resolves when the prompt is left or the input ends: true if nothing failed. */
  async run(): Promise<boolean> {
    const { banner, isTerminal, signal } = this.#options;
    const readline = this.#readline;
    readline.on("line", (line) => {
      this.#waiting.push(line);
      if (this.#running === undefined) void this.#work();
    });
    readline.on("SIGINT", () => this.#interrupt());
    readline.on("close", () => {
      this.#inputEnded = true;
      if (this.#running === undefined) this.#closed.resolve();
    });
    const leave = () => {
      // Ending the prompt does not wait for a command that may never end.
      this.#waiting.length = 0;
      this.#running?.abort();
      readline.close();
    };
    signal?.addEventListener("abort", leave, { once: true });
    // An unhandled rejection must not end the process.
    const onRejection = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      this.#printError(event.reason);
      this.#ask();
    };
    addEventListener("unhandledrejection", onRejection);
    try {
      if (isTerminal && banner !== undefined) this.#print(banner);
      this.#ask();
      if (signal?.aborted) leave();
      await this.#closed.promise;
    } finally {
      removeEventListener("unhandledrejection", onRejection);
      signal?.removeEventListener("abort", leave);
      readline.close();
      this.#typed?.close();
      this.#evaluator[Symbol.dispose]();
    }
    if (isTerminal) this.#print("");
    if (this.#begun !== "" && !isTerminal) {
      this.#printError(new SyntaxError("The input ends in the middle of code"));
    }
    return this.#failures === 0;
  }

  /** Prints `text` above the line being typed. */
  printAbove(text: string): void {
    if (!this.#options.isTerminal) return this.#print(text);
    cursorTo(process.stdout, 0);
    clearLine(process.stdout, 0);
    this.#print(text);
    if (this.#running === undefined && !this.#inputEnded) {
      this.#readline.prompt(true);
    }
  }

  async #work(): Promise<void> {
    for (
      let line = this.#waiting.shift();
      line !== undefined;
      line = this.#waiting.shift()
    ) {
      this.#running = new AbortController();
      await this.#take(line, this.#running.signal);
      this.#running = undefined;
    }
    if (this.#inputEnded) this.#closed.resolve();
    else this.#ask();
  }

  async #take(line: string, givenUp: AbortSignal): Promise<void> {
    if (this.#begun === "") {
      const word = line.trim();
      if (word === "") return;
      this.#history.add(line);
      if (word === ".help") return this.#print(this.#options.help);
      if (word === ".exit") {
        this.#waiting.length = 0;
        return this.#readline.close();
      }
      if (/^\.[a-z]+$/.test(word)) {
        return this.#print(`There is no ${word}: try .help`);
      }
    } else if (line !== "") this.#history.add(line);
    const code = this.#begun === "" ? line : `${this.#begun}\n${line}`;
    this.#options.onCommand?.(givenUp);
    const { promise: interrupted, resolve } = Promise.withResolvers<
      { type: "interrupted" }
    >();
    givenUp.addEventListener(
      "abort",
      () => resolve({ type: "interrupted" }),
      { once: true },
    );
    const outcome = await Promise.race([
      this.#evaluator.evaluate(code),
      interrupted,
    ]);
    this.#begun = outcome.type === "incomplete" ? code : "";
    if (outcome.type === "value" && outcome.value !== undefined) {
      this.#print(this.#inspect(outcome.value));
    } else if (outcome.type === "thrown") this.#printError(outcome.error);
    else if (outcome.type === "interrupted") this.#print("(interrupted)");
  }

  #ask(): void {
    if (!this.#options.isTerminal || this.#inputEnded) return;
    const { label } = this.#options;
    this.#readline.setPrompt(
      this.#begun === "" ? `${label}> ` : `${"...".padStart(label.length)}> `,
    );
    this.#readline.prompt();
    this.#typed?.next();
  }

  #interrupt(): void {
    if (this.#running !== undefined) {
      this.#waiting.length = 0;
      this.#running.abort();
      return;
    }
    const had = this.#begun !== "" || this.#readline.line !== "";
    this.#begun = "";
    this.#readline.write(null, { ctrl: true, name: "e" });
    this.#readline.write(null, { ctrl: true, name: "u" });
    this.#print(
      had ? "" : `\n(Ctrl-D or .exit ${this.#options.ending})`,
    );
    this.#ask();
  }

  async #complete(line: string): Promise<[string[], string]> {
    const typed = /[\w$][\w$.]*$|^\.[a-z]*$/.exec(line)?.[0] ?? "";
    if (line.startsWith(".")) {
      const words = [".exit", ".help"];
      return [words.filter((word) => word.startsWith(line)), line];
    }
    const dot = typed.lastIndexOf(".");
    const path = dot === -1 ? "" : typed.slice(0, dot);
    const begin = typed.slice(dot + 1);
    const own = path === "" ? Object.keys(this.#options.scope) : [];
    // An empty line offers what is special here, not all of JavaScript.
    const names = typed === ""
      ? own
      : [...own, ...await this.#evaluator.membersOf(path)];
    const fitting = [...new Set(names)]
      .filter((name) => name.startsWith(begin) && /^[\w$]+$/.test(name))
      .sort()
      .map((name) => path === "" ? name : `${path}.${name}`);
    return [fitting, typed];
  }

  #inspect(value: unknown): string {
    const columns = this.#options.isTerminal ? terminalColumns() : 80;
    return Deno.inspect(value, {
      colors: this.#options.color,
      breakLength: columns,
      depth: 6,
      iterableLimit: 200,
    });
  }

  #print(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  /** Prints what was thrown: code, message and details of a `WhorlError`, name and message of another error. */
  #printError(error: unknown): void {
    this.#failures++;
    let text;
    if (isWhorlError(error)) {
      const details = Object.keys(error.details).length === 0
        ? ""
        : ` ${this.#inspect(error.details)}`;
      text = `${error.code}: ${error.message}${details}`;
    } else if (error instanceof Error) {
      // The stack holds only the prompt's own frames.
      text = `${error.name}: ${error.message}`;
    } else text = `Thrown: ${this.#inspect(error)}`;
    (this.#options.isTerminal ? process.stdout : process.stderr)
      .write(`${text}\n`);
  }
}

type CompleterDone = (
  error?: Error | null,
  found?: [string[], string],
) => void;

/**
 * Where commands write: results to one side, remarks to the other. Commands get
 * this interface instead of the process's streams, so tests can read what a
 * person would see.
 *
 * @module
 */
import { terminalColumns } from "../src/prompt/terminal_columns.ts";

/** Takes what a command has to say. */
export interface Output {
  /** Results, to standard output. Scripts read this. */
  write(text: string): void;
  /** Remarks, progress and errors, to standard error. */
  remark(text: string): void;
  /** Bytes as they are, to standard output. */
  writeBytes(bytes: Uint8Array): void;
  /** Whether a person looks at the results. */
  readonly isTerminal: boolean;
  /** Whether a person looks at the remarks. */
  readonly remarksToTerminal: boolean;
  /** Width of the terminal in characters; 80 where there is none. */
  columns(): number;
  /** Height of the terminal in lines; 24 where there is none. */
  rows(): number;
  /** Whether colour is welcome: a terminal, and no `NO_COLOR` (no-color.org). */
  readonly color: boolean;
}

/** The {@linkcode Output} of this process. */
export function processOutput(): Output {
  const isTerminal = Deno.stdout.isTerminal();
  const remarksToTerminal = Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  return {
    write: (text) => writeAll(Deno.stdout, encoder.encode(text)),
    remark: (text) => writeAll(Deno.stderr, encoder.encode(text)),
    writeBytes: (bytes) => writeAll(Deno.stdout, bytes),
    isTerminal,
    remarksToTerminal,
    columns: () => isTerminal || remarksToTerminal ? terminalColumns() : 80,
    rows: () => isTerminal || remarksToTerminal ? terminalRows() : 24,
    color: isTerminal && !Deno.noColor,
  };
}

function terminalRows(): number {
  return Deno.consoleSize().rows || 24;
}

function writeAll(
  to: { writeSync(bytes: Uint8Array): number },
  bytes: Uint8Array,
): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** An {@linkcode Output} that keeps what it is given. */
export interface CapturedOutput extends Output {
  /** All results so far. */
  readonly written: string;
  /** All remarks so far. */
  readonly remarks: string;
}

/** Keeps what is written, for tests and for commands that run inside another. */
export function capturedOutput(
  looks: {
    isTerminal?: boolean;
    color?: boolean;
    columns?: number;
    rows?: number;
  } = {},
): CapturedOutput {
  const decoder = new TextDecoder();
  let written = "";
  let remarks = "";
  return {
    write: (text) => void (written += text),
    remark: (text) => void (remarks += text),
    writeBytes: (bytes) => void (written += decoder.decode(bytes)),
    isTerminal: looks.isTerminal ?? false,
    remarksToTerminal: looks.isTerminal ?? false,
    columns: () => looks.columns ?? 80,
    rows: () => looks.rows ?? 24,
    color: looks.color ?? false,
    get written() {
      return written;
    },
    get remarks() {
      return remarks;
    },
  };
}

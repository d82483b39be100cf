/**
 * The log as the code sees it: a level, a sentence, and data. Where it goes is
 * the environment's choice.
 *
 * @module
 */

/** Data that belongs to a log line. */
export type LogData = Readonly<Record<string, unknown>>;

/** Takes log lines. */
export interface Log {
  /** What only somebody looking for a fault wants to read. */
  debug(message: string, data?: LogData): void;
  /** What an operator should know although nothing is wrong: starts, stops, changes of the ring. */
  info(message: string, data?: LogData): void;
  /** What went wrong and was dealt with; it may want attention if it goes on. */
  warn(message: string, data?: LogData): void;
  /** What went wrong and will not mend itself. */
  error(message: string, data?: LogData): void;
  /** A log for a part of the system; its name stands before the line. */
  child(name: string): Log;
}

/** A log that forgets everything, for tests and tools. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

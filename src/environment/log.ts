/**
 * The log as code uses it: a level, a sentence, and data. The environment
 * decides where it goes.
 *
 * @module
 */

/** Data that belongs to a log line. */
export type LogData = Readonly<Record<string, unknown>>;

/** Takes log lines. */
export interface Log {
  /** Details for those who look for a fault. */
  debug(message: string, data?: LogData): void;
  /** Normal events that an operator should know about: starts, stops, changes of the ring. */
  info(message: string, data?: LogData): void;
  /** Faults that were dealt with; they may need attention if they persist. */
  warn(message: string, data?: LogData): void;
  /** Faults that need an operator. */
  error(message: string, data?: LogData): void;
  /** A log for a part of the system, whose name prefixes its lines. */
  child(name: string): Log;
}

/** A log that discards everything, for tests and tools. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

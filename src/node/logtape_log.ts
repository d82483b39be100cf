/**
 * The log of a real node, written through LogTape, so that an application that
 * embeds Whorl decides where its lines go.
 *
 * @module
 */
import { getLogger, type Logger } from "npm:@logtape/logtape@2.4.2";
import type { Log, LogData } from "../environment/log.ts";

class LogTapeLog implements Log {
  #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  debug(message: string, data: LogData = {}): void {
    this.#logger.debug(escaped(message), { ...data });
  }

  info(message: string, data: LogData = {}): void {
    this.#logger.info(escaped(message), { ...data });
  }

  warn(message: string, data: LogData = {}): void {
    this.#logger.warn(escaped(message), { ...data });
  }

  error(message: string, data: LogData = {}): void {
    this.#logger.error(escaped(message), { ...data });
  }

  child(name: string): Log {
    return new LogTapeLog(this.#logger.getChild(name));
  }
}

/** Braces in a sentence are text here, while LogTape would read them as placeholders. */
function escaped(message: string): string {
  return message.replaceAll("{", "{{").replaceAll("}", "}}");
}

/** A log under LogTape's category `["whorl", ...names]`. */
export function logtapeLog(...names: string[]): Log {
  return new LogTapeLog(getLogger(["whorl", ...names]));
}

/**
 * Sending bytes between threads.
 *
 * @module
 */
import type { Message } from "./program.ts";

/** Sends `message` over `port` without copying it. */
export function transfer(port: MessagePort, message: Message): void {
  const { buffer } = message;
  // A bare buffer is cheaper to send than a view of it.
  const whole = message.byteLength === buffer.byteLength;
  port.postMessage(whole ? buffer : message, [buffer]);
}

/**
 * A program that sends every message back.
 *
 * @module
 */
import type { Program } from "../supervisors/mod.ts";

const echo: Program = (context) => {
  context.onMessage((message) => context.send(message));
  return {};
};
export default echo;

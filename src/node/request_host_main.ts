/**
 * Entry point of a host of coordinators in a worker or a subprocess. It needs
 * no network and no store: its node has them.
 *
 * @module
 */
import type { Program } from "../../supervisors/program.ts";
import { requestHostProgram } from "../request/request_host_program.ts";
import { forwardingLog } from "./forwarding_log.ts";
import { OBJECT_MODULES } from "./object_modules.ts";

const program: Program = (context) =>
  requestHostProgram(
    { log: forwardingLog((message) => context.send(message)) },
    OBJECT_MODULES,
  )(context);

export default program;

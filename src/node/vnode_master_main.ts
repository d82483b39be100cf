/**
 * Entry point of a vnode master in a worker or a subprocess.
 *
 * @module
 */
import type { Program } from "../../supervisors/program.ts";
import { vnodeMasterProgram } from "../vnode/vnode_master_program.ts";
import { forwardingLog } from "./forwarding_log.ts";
import { systemEnvironment } from "./system_environment.ts";

const program: Program = (context) =>
  vnodeMasterProgram(
    systemEnvironment(forwardingLog((message) => context.send(message))),
  )(context);

export default program;

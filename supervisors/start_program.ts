/**
 * Starts a child program in a given placement.
 *
 * @module
 */
import type { HostedChild } from "./hosted_child.ts";
import type { ProgramChild, StartProgramOptions } from "./program.ts";
import { startSubprocess } from "./subprocess_child.ts";
import { SupervisorError } from "./supervisor_error.ts";
import { startTask } from "./task_child.ts";
import { startWorker } from "./worker_child.ts";

/**
 * Starts a program as a task, a worker or a subprocess.
 *
 * @returns The child, once the program's function has returned or resolved.
 * @throws {SupervisorError} `start_failed`, naming the module, if it does not
 * load, throws, ends early or takes too long; what was thrown is the `cause`.
 * @throws {TypeError} If `program` is given for a placement other than `task`.
 */
export async function startProgram(
  options: StartProgramOptions,
): Promise<ProgramChild> {
  if (options.program !== undefined && options.placement !== "task") {
    throw new TypeError(
      `Cannot start program as only a task can run a function: placement is ${options.placement}`,
    );
  }
  const child = create(options);
  await child.started;
  return child;
}

function create(options: StartProgramOptions): HostedChild {
  try {
    switch (options.placement) {
      case "task":
        return startTask(options);
      case "worker":
        return startWorker(options);
      case "subprocess":
        return startSubprocess(options);
      default:
        return options.placement satisfies never;
    }
  } catch (error) {
    // Invalid options are the caller's error; anything else means that the
    // system refuses another process, for lack of resources or of permission.
    if (error instanceof RangeError) throw error;
    throw new SupervisorError(
      "start_failed",
      `Cannot start ${options.module.href} as ${options.placement}: ${
        error instanceof Error ? error.message : String(error)
      }`,
      { details: { module: options.module.href }, cause: error },
    );
  }
}

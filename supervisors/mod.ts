/**
 * Supervision as in Erlang/OTP: children are started in order, restarted by a
 * strategy when they crash, and stopped in reverse order, whether they are
 * tasks in this thread, workers or subprocesses.
 *
 * ```ts
 * import { startServer, startSupervisor } from "@whorl/whorl/supervisors";
 *
 * await using supervisor = await startSupervisor({
 *   strategy: "one_for_one",
 *   intensity: 5,
 *   periodMs: 10_000,
 *   children: [{
 *     id: "counter",
 *     start: () => {
 *       let count = 0;
 *       return startServer<"next", number>({ handleCall: () => ++count });
 *     },
 *   }],
 * });
 * supervisor.child("counter")?.kill();
 * // Another one takes its place, with its count at 0.
 * const [counter] = supervisor.whichChildren();
 * if (counter?.restarts !== 1) throw new Error("never reached");
 * ```
 *
 * - {@linkcode startSupervisor} keeps named children, {@linkcode
 *   DynamicSupervisor} any number of one kind.
 * - {@linkcode startProgram} runs a module as a task, a worker or a subprocess.
 * - {@linkcode Process}, {@linkcode startServer} and {@linkcode GenStatem} are
 *   processes in this thread, with mailboxes, links and monitors.
 * - {@linkcode ManualRuntime} is a manual clock for tests.
 *
 * @module
 */
export * from "./runtime.ts";
export * from "./manual_runtime.ts";
export * from "./exit_reason.ts";
export * from "./supervisor_error.ts";
export * from "./child.ts";
export * from "./backoff.ts";
export * from "./child_spec.ts";
export * from "./restart_strategy.ts";
export * from "./restart_intensity.ts";
export * from "./supervisor.ts";
export * from "./dynamic_supervisor.ts";
export * from "./mailbox.ts";
export * from "./process.ts";
export * from "./registry.ts";
export * from "./reply_to.ts";
export * from "./gen_server.ts";
export * from "./gen_statem.ts";
export * from "./program.ts";
export * from "./start_program.ts";
export * from "./tree_view.ts";

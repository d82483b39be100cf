/**
 * Exit codes of the command line, the same for every command.
 *
 * "Node is not running!" ends with 1, as it does in riak_core's scripts
 * (SEMANTICS §1.2). A wrong command line ends with 2 and not 1 as there, so that
 * a script can tell its own mistake from a cluster's refusal.
 *
 * @module
 */

/** Exit codes by name. */
export const ExitCode = {
  /** Done. */
  ok: 0,
  /** The node refused, the key is not there, a record was rejected, nobody is running. */
  failed: 1,
  /** The command line cannot be understood; nothing was tried. */
  usage: 2,
  /**
   * Only between a node and its parent: the node could not start, so starting it
   * once more would not help. The parent ends with 1.
   */
  startFailed: 3,
  /** Interrupted by Ctrl-C, as shells count it. */
  interrupted: 130,
} as const;

/**
 * What stands in the frames between a node and a host of its coordinators that
 * is a worker or a subprocess:
 *
 *     node to host
 *       ringView        which ring requests to a module see from now on: ring_view_codec.ts
 *       operation       as a client sent it; the correlation is the node's number for it
 *       vnodeReply, vnodeAccepted, vnodeError, operationReply, operationError
 *                       answers to what the host asked, under its correlations
 *                       (with OPERATION_REFUSED: it did not leave the node)
 *       nodeLost        text node · failure
 *     host to node
 *       nodeNumber      UTF-8: the name of the node that the correlation stands for
 *       vnodeRequest    u16 node number · vnode request
 *       operation       u16 node number · operation, for that node to coordinate
 *       operationReply, operationError
 *                       what came of an operation, under the node's number for it
 *       masterEvent     MessagePack: a line of the log
 *
 * The bytes of requests and answers are those that travel between nodes, and
 * neither end looks into them more than it must. A node's name travels once in
 * the life of a host and is a number afterwards.
 *
 * @module
 */

/** Flag of an `operationError` that refuses the operation: it never had a coordinator, here or where it was to go. */
export const OPERATION_REFUSED = 1;

/** What a host is told when it starts: plain data. */
export interface RequestHostArgs {
  /** Requests at once; a further one is answered `overload`. */
  readonly requestsMax: number;
  /** Number of its first request; see `RequestHostOptions`. */
  readonly firstSequence: number;
}

/**
 * The frames between a node and a host of its coordinators that is a worker or
 * a subprocess:
 *
 *     node to host
 *       ringView        the ring for requests to a module from now on: ring_view_codec.ts
 *       operation       as a client sent it; the correlation is the node's number for it
 *       vnodeReply, vnodeAccepted, vnodeError, operationReply, operationError
 *                       answers to the host's requests, under its correlations
 *                       (with OPERATION_REFUSED: it was not sent)
 *       nodeLost        text node · failure
 *     host to node
 *       nodeNumber      UTF-8: the name of the node that the correlation stands for
 *       vnodeRequest    u16 node number · vnode request
 *       operation       u16 node number · operation, for that node to coordinate
 *       operationReply, operationError
 *                       outcome of an operation, under the node's number for it
 *       masterEvent     MessagePack: a line of the log
 *
 * The bytes of requests and answers are those that are sent between nodes, and
 * neither end looks into them more than necessary. The name of a node is sent
 * once in the life of a host, and as a number afterwards.
 *
 * @module
 */

/**
 * Flag of an `operationError` that refuses the operation: it never got a
 * coordinator, here or where it was to be sent.
 */
export const OPERATION_REFUSED = 1;

/** What a host is given when it starts: plain data. */
export interface RequestHostArgs {
  /** Most requests at once; a further one is answered `overload`. */
  readonly requestsMax: number;
  /** Number of its first request; see `RequestHostOptions`. */
  readonly firstSequence: number;
}

/**
 * The kinds of frame, and who sends them. Numbers are part of the wire format
 * and never reused. docs/wire_format.md describes each payload.
 *
 * @module
 */

/** Frame types by name. */
export const FrameType = {
  // Handshake (1-9), the only types until both ends have authenticated.
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refused: 5,
  // Link (10-19).
  ping: 10,
  pong: 11,
  goodbye: 12,
  /** Answers a frame of a type the receiver does not know. */
  unknownType: 13,
  // Cluster (20-39), MessagePack payloads.
  ringDigest: 20,
  ring: 21,
  services: 22,
  joinRequest: 23,
  joinReply: 24,
  // Calls (40-49), MessagePack payloads: `{ method, args }` and the answer.
  call: 40,
  callReply: 41,
  callError: 42,
  // Vnodes (50-69), frequent, binary payloads.
  vnodeRequest: 50,
  vnodeReply: 51,
  /** An early answer, not durable yet; a `vnodeReply` with the same correlation follows. */
  vnodeAccepted: 52,
  vnodeError: 53,
  // Operations from clients (70-79), binary payloads.
  operation: 70,
  operationReply: 71,
  operationError: 72,
  // Masters and hosts of FSM supervisors (80-99), inside a node only.
  masterStart: 80,
  masterReady: 81,
  masterControl: 82,
  masterEvent: 83,
  ringView: 84,
  nodeNumber: 85,
  nodeLost: 86,
  // Raft (100-119), between members' nodes, binary payloads.
  raftMessage: 100,
  /** For all groups that the sender leads and that should have the receiver as a member. */
  raftHeartbeats: 101,
  raftHeartbeatsReply: 102,
} as const;

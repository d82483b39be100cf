/**
 * How the bytes that may wait on one link are shared out between the requests
 * this node makes and the answers it owes, so that neither keeps the other from
 * leaving and a slow peer is told so before its link breaks.
 *
 *     4 MiB    answers are held back: ANSWERS_WINDOW_BYTES
 *     20 MiB   the most that answers alone put there: one frame more
 *     24 MiB   requests are refused, small answers held back: LINK_BACKLOG_BYTES_MAX
 *     40 MiB   the most that requests put there: one frame more
 *     64 MiB   the link is closed as overloaded: LINK_LIMITS
 *
 * The last third is for what is neither, or cannot be refused: pings, gossip,
 * calls, and the errors that stand for answers which found no room. Whoever
 * makes those faster than the peer takes them loses the link, and with it all
 * that is held for it.
 *
 * @module
 */
import { FRAME_BYTES_MAX } from "../wire/frame.ts";

/**
 * Bytes that may wait in a link before answers are held back. More than a
 * socket takes in one turn, so that the link is never idle; small enough that a
 * ping behind them and one largest frame arrives before silence is a failure.
 */
export const ANSWERS_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * Bytes that may wait in a link before a further request to that peer is
 * refused with `overload` and small answers no longer pass those held back.
 * More than answers alone put there: else a peer that reads large values here
 * could not be asked for anything meanwhile.
 */
export const LINK_BACKLOG_BYTES_MAX = 24 * 1024 * 1024;

/** The most bytes that requests and answers make wait in a link: the largest frame that begins when there is just room. */
export const LINK_CARRIED_BYTES_MAX: number = LINK_BACKLOG_BYTES_MAX +
  FRAME_BYTES_MAX;

/** Bytes of answers that are held back for one link; a further one is answered `overload`. */
export const LINK_ANSWERS_HELD_BYTES_MAX = 256 * 1024 * 1024;

/** Bytes of answers that a node holds back for all its links; a further one is answered `overload`. */
export const ANSWERS_HELD_BYTES_MAX = 512 * 1024 * 1024;

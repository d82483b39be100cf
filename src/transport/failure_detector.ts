/**
 * Suspects a peer that no longer answers pings, with the phi-accrual failure
 * detector (Hayashibara, Défago, Yared, Katayama, "The φ Accrual Failure
 * Detector", SRDS 2004). It learns how regularly answers come and computes how
 * unlikely the present silence is: φ = -log10 P(an answer still comes later).
 *
 * Two things are added. An acceptable pause is granted on top of the usual
 * interval, because a garbage collector stops a peer now and then. And the
 * silence at which a peer is suspected is kept between two bounds, so that the
 * guarantee holds after a very regular and after a very jittery past: a pause
 * of one second is not a failure, silence of three seconds is.
 *
 * Only pongs count, and pings that say that ours have arrived. A peer's other
 * traffic shows that it can reach us, not that we can reach it; and the kernel
 * goes on receiving for a stopped process.
 *
 * @module
 */

/** When silence becomes suspicion. */
export interface FailureDetectorOptions {
  /** Milliseconds between pings; also the first estimate of the interval between answers. @default {250} */
  readonly pingIntervalMs?: number;
  /** Least φ at which a peer is suspected; 8 means one wrong suspicion in 10^8 intervals. @default {8} */
  readonly threshold?: number;
  /** Milliseconds of pause granted beyond the mean interval. @default {1000} */
  readonly acceptablePauseMs?: number;
  /** Least standard deviation assumed, in milliseconds. @default {100} */
  readonly deviationMsMin?: number;
  /** Intervals remembered. @default {64} */
  readonly sampleCount?: number;
  /** Shorter silence, in milliseconds, is never suspect. @default {1500} */
  readonly suspectAfterMsMin?: number;
  /** Silence of this many milliseconds always is. @default {2500} */
  readonly suspectAfterMsMax?: number;
}

/** Values of {@linkcode FailureDetectorOptions} that are used when none is given. */
export const FAILURE_DETECTOR_DEFAULTS: Required<FailureDetectorOptions> = {
  pingIntervalMs: 250,
  threshold: 8,
  acceptablePauseMs: 1_000,
  deviationMsMin: 100,
  sampleCount: 64,
  suspectAfterMsMin: 1_500,
  suspectAfterMsMax: 2_500,
};

/** What is known of one peer's answers. Times are of one monotonic clock, in milliseconds. */
export interface FailureDetectorState {
  readonly options: Required<FailureDetectorOptions>;
  /** The last intervals between answers, used as a ring. */
  readonly intervals: number[];
  next: number;
  lastAnswerMs: number;
  suspected: boolean;
}

/** A verdict that changed. */
export type FailureDetectorEffect = "suspect" | "alive";

/** A detector for a peer whose link came up at `nowMs`, which counts as an answer. */
export function createFailureDetector(
  nowMs: number,
  options: FailureDetectorOptions = {},
): FailureDetectorState {
  const all = { ...FAILURE_DETECTOR_DEFAULTS, ...options };
  return {
    options: all,
    // Two values around the ping interval, as mean and deviation need something
    // to start from.
    intervals: [all.pingIntervalMs * 0.75, all.pingIntervalMs * 1.25],
    next: 2,
    lastAnswerMs: nowMs,
    suspected: false,
  };
}

/** An answer came. */
export function answered(
  detector: FailureDetectorState,
  nowMs: number,
): FailureDetectorEffect | undefined {
  const { sampleCount } = detector.options;
  const interval = silenceMs(detector, nowMs);
  detector.lastAnswerMs = nowMs;
  if (detector.suspected) {
    // The silence that ended was an outage and says nothing about usual intervals.
    detector.suspected = false;
    return "alive";
  }
  detector.intervals[detector.next % sampleCount] = interval;
  detector.next++;
  return undefined;
}

/** Time has passed. */
export function checkSilence(
  detector: FailureDetectorState,
  nowMs: number,
): FailureDetectorEffect | undefined {
  if (detector.suspected || !isSuspicious(detector, nowMs)) return undefined;
  detector.suspected = true;
  return "suspect";
}

/** This process itself was paused for `pausedMs`, which must not count as the peer's silence. */
export function forgivePause(
  detector: FailureDetectorState,
  pausedMs: number,
): void {
  detector.lastAnswerMs += pausedMs;
}

/** Milliseconds since the last answer. */
export function silenceMs(
  detector: FailureDetectorState,
  nowMs: number,
): number {
  return Math.max(0, nowMs - detector.lastAnswerMs);
}

function isSuspicious(detector: FailureDetectorState, nowMs: number): boolean {
  const silent = silenceMs(detector, nowMs);
  const { suspectAfterMsMin, suspectAfterMsMax, threshold } = detector.options;
  if (silent < suspectAfterMsMin) return false;
  return silent >= suspectAfterMsMax || phi(detector, nowMs) >= threshold;
}

/** How suspicious the present silence is; grows without bound while it lasts. */
export function phi(detector: FailureDetectorState, nowMs: number): number {
  const { intervals, options } = detector;
  const mean = intervals.reduce((sum, ms) => sum + ms, 0) / intervals.length;
  const variance = intervals.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) /
    intervals.length;
  const deviation = Math.max(Math.sqrt(variance), options.deviationMsMin);
  const expected = mean + options.acceptablePauseMs;
  return -log10OfTail((silenceMs(detector, nowMs) - expected) / deviation);
}

/**
 * log10 of the normal distribution's upper tail, by the logistic approximation
 * that other phi detectors use too. At five deviations it is about one too low,
 * so that suspicion comes a little sooner; and it stays finite where the
 * probability itself underflows.
 */
function log10OfTail(z: number): number {
  const exponent = z * (1.5976 + 0.070566 * z * z);
  // log10(1 / (1 + e^x)), without computing e^x where it would overflow.
  const softplus = exponent > 30
    ? exponent
    : Math.log1p(Math.exp(Math.max(exponent, -700)));
  return -softplus / Math.LN10;
}

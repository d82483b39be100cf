/**
 * Restart intensity. More than `intensity` restarts within `periodMs` mean that
 * restarting does not help: the supervisor gives up and its own supervisor
 * decides (OTP, `supervisor:add_restart/1`).
 *
 * @module
 */

/** The number of restarts allowed within a period. */
export interface IntensityLimit {
  /** Restarts allowed within `periodMs`; one more is too many. @default {1} */
  readonly intensity: number;
  /** The window, in milliseconds. @default {5000} */
  readonly periodMs: number;
}

/** OTP's default: one restart in five seconds. */
export const INTENSITY_DEFAULT: IntensityLimit = {
  intensity: 1,
  periodMs: 5_000,
};

/** Restarts within the window. Has one owner and changes in place. */
export interface IntensityState {
  /** What is borne. */
  readonly limit: IntensityLimit;
  /** Their times, oldest first; at most `intensity + 1`. */
  readonly restartsAtMs: number[];
}

/**
 * Begins with no restarts.
 *
 * @throws {RangeError} If a limit is negative or no number.
 */
export function createIntensity(limit: IntensityLimit): IntensityState {
  if (!(limit.intensity >= 0) || !(limit.periodMs >= 0)) {
    throw new RangeError(
      `Cannot start supervisor as 'intensity' and 'periodMs' must be at least 0: current values are ${limit.intensity} and ${limit.periodMs}`,
    );
  }
  return { limit, restartsAtMs: [] };
}

/** Records a restart. False if it is one too many. */
export function addRestart(state: IntensityState, nowMs: number): boolean {
  const { limit, restartsAtMs } = state;
  // A restart exactly `periodMs` old still counts, as in OTP.
  const oldestMs = nowMs - limit.periodMs;
  let expired = 0;
  while (
    expired < restartsAtMs.length && restartsAtMs[expired]! < oldestMs
  ) expired++;
  restartsAtMs.splice(0, expired);
  restartsAtMs.push(nowMs);
  return restartsAtMs.length <= limit.intensity;
}

/**
 * Every scenario on nodes in processes of their own, over TCP, and those that
 * are not long also on nodes inside this process, over a network of memory.
 *
 * @module
 */
import { testScenarios } from "./scenarios/play.ts";

testScenarios("in_process", ({ long = false }) => !long);
testScenarios("processes", () => true);

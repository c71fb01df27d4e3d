/** From two bare hosts to a disk that keeps its bytes: the article's transport. Other stacks: variants.long.test.ts. */
import { beforeAll } from "vitest";
import { defaultVariant, ladderFromNothing } from "./harness/ladder";
import { keepMounted, makingMounted } from "./harness/scenario";

beforeAll(makingMounted);

ladderFromNothing({ ...defaultVariant, made: keepMounted });

/** From two bare hosts to a disk that keeps its bytes: the default stack. Other stacks: variants.long.test.ts. */
import { defaultVariant, ladderFromNothing } from "./harness/ladder";
import { keepMounted } from "./harness/scenario";

ladderFromNothing({ ...defaultVariant, made: keepMounted });

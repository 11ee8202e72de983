/** Starts viewer.html. */

import { DecoderClient } from "../client.js";
import { Data, takeToken } from "./data.js";
import { Page } from "./page.js";

const home = new URL("../", import.meta.url);
const data = new Data(new URL("data/", home), takeToken());
new Page(data, DecoderClient.served(home)).start();

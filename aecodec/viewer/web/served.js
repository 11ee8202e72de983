/** Starts decode.html where a server has its files. */

import { DecoderClient } from "./client.js";
import { startPage } from "./page.js";

startPage(DecoderClient.served(new URL(".", import.meta.url)));

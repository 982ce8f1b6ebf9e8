import { createApp } from "vue";

import App from "./App.vue";
import { complain } from "./state/toasts";
import "./style/tokens.css";
import "./style/base.css";
import "./style/controls.css";
import "./style/map.css";

const app = createApp(App);
app.config.errorHandler = (error) => {
  complain(error);
  console.error(error);
};
app.mount("#app");

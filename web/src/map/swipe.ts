/** Before and after in ONE map: a scissor in the drawing itself cuts either side at the divider.
 *
 * Two maps on top of each other would fetch, decode and draw everything twice and drift apart by a frame while moving. Here the two rasters
 * are neighbours in one list of layers, and three layers without any drawing of their own set the scissor: left of the divider, right of it, off.
 */
import type { CustomLayerInterface, Map as GlMap } from "maplibre-gl";

/** Share of the map's width that shows the earlier survey. */
export interface Divider {
  share: number;
}

function scissor(id: string, divider: Divider, side: "left" | "right" | "off"): CustomLayerInterface {
  return {
    id,
    type: "custom",
    renderingMode: "2d",
    render(gl) {
      if (side === "off") {
        gl.disable(gl.SCISSOR_TEST);
        return;
      }
      const cut = Math.round(gl.drawingBufferWidth * divider.share);
      gl.enable(gl.SCISSOR_TEST);
      if (side === "left") gl.scissor(0, 0, cut, gl.drawingBufferHeight);
      else gl.scissor(cut, 0, gl.drawingBufferWidth - cut, gl.drawingBufferHeight);
    },
  };
}

/** Put the three scissor layers in; rasters go before the layer that is named by `LEFT_OF` and `RIGHT_OF`. */
export function addScissors(map: GlMap, divider: Divider): void {
  map.addLayer(scissor("scissor-left", divider, "left"));
  map.addLayer(scissor("scissor-right", divider, "right"));
  map.addLayer(scissor("scissor-off", divider, "off"));
}

export const LEFT_OF = "scissor-right";
export const RIGHT_OF = "scissor-off";

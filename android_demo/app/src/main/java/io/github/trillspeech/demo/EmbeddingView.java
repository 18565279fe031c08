package io.github.trillspeech.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.util.AttributeSet;
import android.view.View;

/** The embedding as bars, each the largest of a run of its numbers; up is positive, down is negative. */
public final class EmbeddingView extends View {
    private static final float BAR_DP = 5;
    private static final float LARGEST_DECAYS = 0.98f; // a window; so that a quiet voice soon fills the picture, too

    private final Paint paint = new Paint(Paint.ANTI_ALIAS_FLAG);
    private float[] values = {};
    private float largest;

    public EmbeddingView(Context context, AttributeSet attributes) {
        super(context, attributes);
    }

    /** @param values of any number; none clears the picture. */
    void show(float[] values) {
        this.values = values;
        largest *= LARGEST_DECAYS;
        for (float value : values) {
            largest = Math.max(largest, Math.abs(value));
        }
        invalidate();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        int count = Math.max(1, (int) (getWidth() / (BAR_DP * getResources().getDisplayMetrics().density)));
        float[] bars = bars(values, count);
        boolean signed = false;
        for (float bar : bars) {
            signed |= bar < 0;
        }
        float step = (float) getWidth() / count;
        float base = signed ? getHeight() / 2f : getHeight();
        for (int i = 0; i < count; i++) {
            float height = largest == 0 ? 0 : base * bars[i] / largest;
            paint.setColor(getContext().getColor(height == 0 ? R.color.track : R.color.accent));
            float shown = Math.copySign(Math.max(step / 2, Math.abs(height)), height);
            float radius = step / 4;
            canvas.drawRoundRect(
                    i * step,
                    Math.min(base, base - shown),
                    i * step + step * 0.7f,
                    Math.max(base, base - shown),
                    radius,
                    radius,
                    paint);
        }
    }

    /** Of each of {@code count} equal runs the number that is farthest from 0. */
    static float[] bars(float[] values, int count) {
        float[] bars = new float[count];
        for (int i = 0; i < values.length; i++) {
            int bar = (int) ((long) i * count / values.length);
            if (Math.abs(values[i]) > Math.abs(bars[bar])) {
                bars[bar] = values[i];
            }
        }
        return bars;
    }
}

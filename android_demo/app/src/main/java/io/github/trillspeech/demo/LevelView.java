package io.github.trillspeech.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.util.AttributeSet;
import android.view.View;
import android.view.accessibility.AccessibilityNodeInfo;

/** How loud it is: a bar from -70 dB to full scale. */
public final class LevelView extends View {
    private static final double QUIETEST_DBFS = -70;

    private final Paint paint = new Paint(Paint.ANTI_ALIAS_FLAG);
    private double levelDbfs = QUIETEST_DBFS;

    public LevelView(Context context, AttributeSet attributes) {
        super(context, attributes);
    }

    void show(double levelDbfs) {
        this.levelDbfs = levelDbfs;
        invalidate();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        float radius = getHeight() / 2f;
        paint.setColor(getContext().getColor(R.color.track));
        canvas.drawRoundRect(0, 0, getWidth(), getHeight(), radius, radius, paint);
        double share = Math.max(0, Math.min(1, 1 - levelDbfs / QUIETEST_DBFS));
        if (share > 0) {
            paint.setColor(getContext().getColor(R.color.accent));
            float width = (float) Math.max(getHeight(), share * getWidth());
            float left = getLayoutDirection() == LAYOUT_DIRECTION_RTL ? getWidth() - width : 0;
            canvas.drawRoundRect(left, 0, left + width, getHeight(), radius, radius, paint);
        }
    }

    /** Said when it is touched, not fifty times a second. */
    @Override
    public void onInitializeAccessibilityNodeInfo(AccessibilityNodeInfo info) {
        super.onInitializeAccessibilityNodeInfo(info);
        info.setContentDescription(getContext().getString(R.string.level_is, Math.round(levelDbfs)));
    }
}

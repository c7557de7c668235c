"""What each action would have done to each row: modelled outcomes, corrected by what was seen and how likely it was.

With known probabilities the correction makes the scores unbiased however wrong the outcome models are; good models make
them precise. Source: J. Robins, A. Rotnitzky and L. P. Zhao, JASA 89, 1994; cross-fitting as in V. Chernozhukov et al.,
"Double/debiased machine learning", The Econometrics Journal 21, 2018.
"""

import numpy as np

from ml.effects.randomised import SEED, Floats, Ints, Randomised

LEAST_ROWS = 40  # below them, or with one outcome only, an action's outcome is its mean over the training rows


def score(rows: Randomised, *, folds: int) -> Floats:
    """Return rows x actions: the doubly robust score of staying under each action, missing where it was impossible.

    Outcomes are predicted by one logistic regression per action that has seen neither the row nor its customer.
    """
    predicted = np.zeros_like(rows.chances)
    fold = assign_folds(rows.customers, folds=folds)
    for number in range(folds):
        is_left_out = fold == number
        if is_left_out.any():
            predicted[is_left_out] = _predict(rows.take(~is_left_out), rows.features[is_left_out])
    return correct(rows, predicted)


def correct(rows: Randomised, predicted: Floats) -> Floats:
    """Return predictions, rows x actions, corrected where the action was taken, by one over how likely it was."""
    scores = np.where(rows.chances > 0, predicted, np.nan)
    places = np.arange(len(rows.given))
    seen = predicted[places, rows.given]
    scores[places, rows.given] = seen + (rows.stayed - seen) / rows.chances[places, rows.given]
    return scores


def assign_folds(customers: Ints, *, folds: int) -> Ints:
    """Return a fold for each row, all rows of a customer in one, drawn once for all."""
    drawn = np.random.default_rng(SEED).integers(0, folds, size=int(customers.max(initial=-1)) + 1)
    return np.asarray(drawn[customers], dtype=np.int64)


def _predict(rows: Randomised, features: Floats) -> Floats:
    columns = [_predict_one(rows.take(rows.given == place), features) for place in range(len(rows.actions))]
    overall = float(rows.stayed.mean()) if len(rows.stayed) else 0.5
    return np.column_stack([np.full(len(features), overall) if column is None else column for column in columns])


def _predict_one(rows: Randomised, features: Floats) -> Floats | None:
    from sklearn.linear_model import LogisticRegression

    if not len(rows.stayed):
        return None
    if len(rows.stayed) < LEAST_ROWS or len(set(rows.stayed)) == 1:
        return np.full(len(features), rows.stayed.mean())
    model = LogisticRegression(C=1.0, max_iter=200).fit(rows.features, rows.stayed)
    return np.asarray(model.predict_proba(features)[:, 1])

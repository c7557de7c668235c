{%- set windows = [7, 14, 28, 56] -%}
with

snapshots as (

    {{ snapshots() }}

),

days as (

    select * from {{ ref('int_activity_days') }}

),

placed as (

    select
        snapshots.as_of,
        days.customer_id,
        days.indicator,
        days.count_actions,
        {{ days_between('days.active_date', 'snapshots.as_of') }} as age_days,
        {{ days_between('days.known_date', 'snapshots.as_of') }} as known_days
    from snapshots
    cross join days
    where
        days.active_date < snapshots.as_of
        and days.active_date >= {{ days_before('snapshots.as_of', 238) }}

),

-- The last eight weeks, 0 to 7, belong to no baseline: a change must not become the level it is compared with. Amounts have
-- four digits, to which sums of floats are brought back: engines add in other orders, and a level that one of them has a
-- hair below the limit of `together` moves the median of all customers.
weekly as (

    select
        as_of,
        customer_id,
        indicator,
        floor((age_days - 1) / 7) as week_number,
        round(sum(count_actions), 4) as count_actions,
        max(greatest(age_days, coalesce(known_days, 0))) as known_days
    from placed
    group by as_of, customer_id, indicator, floor((age_days - 1) / 7)

),

known as (

    select
        as_of,
        customer_id,
        least(max(known_days) - 56, 182) as baseline_days
    from weekly
    group by as_of, customer_id
    having max(known_days) >= 84

),

counted as (

    select
        weekly.as_of,
        weekly.customer_id,
        weekly.indicator,
        known.baseline_days,
        floor(known.baseline_days / 7) as baseline_weeks,
        {%- for window in windows %}
            coalesce(round(sum(weekly.count_actions) filter (where weekly.week_number < {{ window // 7 }}), 4), 0) as count_{{ window }}d,
        {%- endfor %}
        round(sum(weekly.count_actions) filter (where weekly.week_number >= 8), 4) / known.baseline_days as level,
        coalesce(
            sum(weekly.count_actions) filter (
                where weekly.week_number >= 8 and weekly.week_number < 8 + floor(known.baseline_days / 7)
            ),
            0
        ) as sum_weeks,
        coalesce(
            sum(weekly.count_actions * weekly.count_actions) filter (
                where weekly.week_number >= 8 and weekly.week_number < 8 + floor(known.baseline_days / 7)
            ),
            0
        ) as sum_squares
    from weekly
    inner join known
        on
            weekly.as_of = known.as_of
            and weekly.customer_id = known.customer_id
    group by weekly.as_of, weekly.customer_id, weekly.indicator, known.baseline_days

),

-- of the weeks of the baseline, silent ones among them: the sum of (week - mean)^2 / mean
levelled as (

    select
        *,
        greatest(
            (sum_squares - 14 * level * sum_weeks + baseline_weeks * 49 * level * level) / (7 * level), 0
        ) as dispersion
    from counted
    where level > 0

),

-- what all customers together did, and how much the weeks of a typical one vary
together as (

    select
        as_of,
        indicator,
        {%- for window in windows %}
            least(greatest(sum(count_{{ window }}d) / sum({{ window }} * level), 0.05), 20) as season_{{ window }}d,
        {%- endfor %}
        coalesce(
            median(dispersion / (baseline_weeks - 1)) filter (where baseline_weeks >= 5 and 7 * level >= 0.25), 1
        ) as typical_spread
    from levelled
    group by as_of, indicator

),

expected as (

    select
        levelled.*,
        {%- for window in windows %}
            {{ window }} * levelled.level * together.season_{{ window }}d as expected_{{ window }}d,
        {%- endfor %}
        greatest(
            (levelled.dispersion + 6 * together.typical_spread) / (levelled.baseline_weeks - 1 + 6), 0.4
        ) as spread
    from levelled
    inner join together
        on
            levelled.as_of = together.as_of
            and levelled.indicator = together.indicator

),

-- rounded, since sums of floats differ in their last digits from run to run
measured as (

    select
        as_of,
        customer_id,
        indicator,
        {%- for window in windows %}
            round(
                {{ poisson_fall('count_' ~ window ~ 'd', 'expected_' ~ window ~ 'd') }}
                / sqrt(spread * (1 + cast({{ window }} as double) / baseline_days)),
                6
            ) as shortfall_{{ window }}d,
        {%- endfor %}
        round(count_56d / expected_56d, 6) as share_of_usual
    from expected

)

select * from measured

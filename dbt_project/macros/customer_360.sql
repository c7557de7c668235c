{# The four cut points that divide a measure into quintiles, as the columns that `quintile` compares with. #}
{% macro quintile_cut_points(name, measure) -%}
    {%- for share in [20, 40, 60, 80] -%}
    percentile_disc({{ share / 100 }}) within group (order by {{ measure }}) as {{ name }}_{{ share }}{{ ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{#
    The quintile that a measure lies in, 1 to 5: one for each cut point that it is above. Who shares a value with several
    cut points stands in the middle of those, so that a value that all have is 3.
#}
{% macro quintile(name, measure) -%}
    floor(
            1
            {%- for share in [20, 40, 60, 80] %}
            + case when {{ measure }} > {{ name }}_{{ share }} then 0.5 else 0 end
            + case when {{ measure }} >= {{ name }}_{{ share }} then 0.5 else 0 end
            {%- endfor %}
        )
{%- endmacro %}


{# The three quantile scores weighted by the policy (RFM); between 1 and 5 when the weights add up to 1. #}
{% macro rfm_score() -%}
    {%- set weights = policy('rfm', 'weights') -%}
    cast(
            {{ weights.recency }} * rfm_recency
            + {{ weights.frequency }} * rfm_frequency
            + {{ weights.monetary }} * rfm_monetary
            as double
        )
{%- endmacro %}


{# Grade by the policy's cutpoints on the weighted score, best first; the letter after the last is for the rest. #}
{% macro rfm_grade() -%}
    {%- set grades = policy('rfm', 'grades') -%}
    case
            {%- for grade, least_score in grades.items() %}
            when rfm_score >= {{ least_score }} then '{{ grade }}'
            {%- endfor %}
            else '{{ 'ABCDEFGHIJ'[grades | length] }}'
        end
{%- endmacro %}


{#
    New, active, dormant or churned on a day, that of the run unless another is given. A running contract counts as
    activity of the day; who never bought is measured from the day the company came to know them. Where contracts decide
    who is a customer, who has none any more is dormant or churned by the days since it ended, whatever bills came after.
#}
{% macro lifecycle_stage(day=none) -%}
    {%- set last_contract_days = days_between('last_contract_date', day or as_of()) -%}
    {%- set first_date = 'least(first_contract_date, first_order_date)' if contracts_decide() else 'first_order_date' -%}
    case
            {%- if contracts_decide() %}
            when count_subscriptions = 0 and {{ last_contract_days }} <= {{ policy('lifecycle', 'dormant_days') }} then 'dormant'
            when count_subscriptions = 0 and last_contract_date is not null then 'churned'
            {%- endif %}
            when coalesce({{ days_between(first_date, day or as_of()) }}, tenure_days, 0)
                <= {{ policy('lifecycle', 'new_days') }} then 'new'
            when count_subscriptions > 0 then 'active'
            when coalesce(recency_days, tenure_days) <= {{ policy('lifecycle', 'active_days') }} then 'active'
            when coalesce(recency_days, tenure_days) <= {{ policy('lifecycle', 'dormant_days') }} then 'dormant'
            else 'churned'
        end
{%- endmacro %}


{#
    Where a customer stands within their time as one: new ones are incubating; of the active, whose spend or use rises
    is growing, whose falls declines, the others are mature. Where contracts decide who is a customer, a running contract
    says nothing of its use, so that use alone decides.
#}
{% macro lifecycle_phase() -%}
    {%- set change, least = policy('lifecycle', 'use_change'), policy('lifecycle', 'use_days') -%}
    {%- set pairs = [] -%}
    {%- for name, table in {'visit': 'events', 'usage': 'usage'}.items() if is_connected(table) -%}
        {%- do pairs.append(('count_' ~ name ~ '_days_month', 'count_' ~ name ~ '_days_month_before')) -%}
    {%- endfor -%}
    case
            when lifecycle_stage = 'new' then 'incubation'
            when lifecycle_stage in ('dormant', 'churned') then lifecycle_stage
            {%- if contracts_decide() %}
            {%- for now, before in pairs %}
            when {{ before }} >= {{ least }} and {{ now }} < (1 - {{ change }}) * {{ before }} then 'decline'
            {%- endfor %}
            {%- for now, before in pairs %}
            when {{ now }} >= {{ least }} and {{ now }} > (1 + {{ change }}) * {{ before }} then 'growth'
            {%- endfor %}
            {%- else %}
            when {{ value_trend() }} = 'falling' then 'decline'
            when {{ value_trend() }} = 'rising' then 'growth'
            {%- endif %}
            else 'mature'
        end
{%- endmacro %}


{# The columns of int_customer_signals, each with a comma after it. #}
{% macro signal_columns(relation=none) -%}
    {%- for name in [
        'count_open_complaints',
        'count_reviews_year',
        'mean_rating_year',
        'count_recommendations_year',
        'count_criticisms_year',
        'count_visit_days_month',
        'count_visit_days_month_before',
        'count_usage_days_month',
        'count_usage_days_month_before',
        'count_touches_quarter',
        'share_touches_opened_quarter',
        'count_late_payments_year',
        'amount_overdue',
        'count_late_deliveries_quarter',
        'count_stockouts_quarter',
        'count_referrals_year',
        'count_referred_year',
        'favourite_channel',
        'favourite_department'
    ] %}
        {{ relation ~ '.' if relation }}{{ name }},
    {%- endfor %}
{%- endmacro %}


{# What a customer's word does for the company: recommendations against criticism of a year, a referral counting as one. #}
{% macro word_of_mouth() -%}
    {%- set praise = 'coalesce(count_recommendations_year, 0) + coalesce(count_referrals_year, 0)' -%}
    case
            when count_reviews_year is null and count_referrals_year is null then null
            when {{ praise }} > coalesce(count_criticisms_year, 0) then 'advocate'
            when {{ praise }} < coalesce(count_criticisms_year, 0) then 'critic'
            when {{ praise }} > 0 then 'mixed'
            else 'silent'
        end
{%- endmacro %}


{# The condition of a declared tag, with the policy's figures in the place of their names. #}
{% macro tag_condition(tag) -%}
    {%- set filled = namespace(sql=tag.when) -%}
    {%- for name, figure in var('policy').tags.items() -%}
        {%- set filled.sql = filled.sql | replace('{' ~ name ~ '}', figure | string) -%}
    {%- endfor -%}
    {%- if '{' in filled.sql -%}
        {{ exceptions.raise_compiler_error(
            "The tag `" ~ tag.name ~ "` asks for a figure that the policy's section `tags` lacks: " ~ filled.sql ~ ". "
            "Add the figure to the policy or correct the tag in the dbt var `tags`."
        ) }}
    {%- endif -%}
    {{ return(filled.sql) }}
{%- endmacro %}


{#
    The names of all tags that hold, with commas between, in the order in which they are declared: those of the view, or
    those over what the run knows later, its scores and clusters (`of: run`).
#}
{% macro tags(of='view') -%}
    {%- set declared = [] -%}
    {%- for tag in (var('tags') or []) if tag.get('of', 'view') == of -%}
        {%- do declared.append(tag) -%}
    {%- endfor -%}
    {%- if declared | length == 0 -%}
    cast('' as varchar)
    {%- else -%}
    cast(
            trim(
                leading ',' from concat(
                    {%- for tag in declared %}
                    case when {{ tag_condition(tag) }} then ',{{ tag.name }}' else '' end{{ ',' if not loop.last }}
                    {%- endfor %}
                )
            )
            as varchar
        )
    {%- endif -%}
{%- endmacro %}


{# The declared tags as a relation. #}
{% macro declared_tags() -%}
{%- set declared = var('tags') or [] -%}
{%- for tag in declared %}
select
    '{{ tag.name }}' as tag,
    '{{ tag.en | replace("'", "''") }}' as label_en,
    '{{ tag.zh | replace("'", "''") }}' as label_zh,
    '{{ tag.owner | replace("'", "''") }}' as owner,
    '{{ tag.reason | replace("'", "''") }}' as reason
{{ 'union all' if not loop.last }}
{%- else -%}
select
    cast(null as varchar) as tag,
    cast(null as varchar) as label_en,
    cast(null as varchar) as label_zh,
    cast(null as varchar) as owner,
    cast(null as varchar) as reason
where 1 = 0
{%- endfor -%}
{%- endmacro %}


{#
    The day of the tags that already stand, when they are those of the run before this one: a spell then goes on from
    there. None when they are of another day, or when runs lie between: then the whole history is read.
#}
{% macro day_of_carried_tags() -%}
    {%- set standing = adapter.get_relation(this.database, this.schema, this.identifier) if execute and not flags.FULL_REFRESH -%}
    {%- if not standing or 'as_of' not in adapter.get_columns_in_relation(standing) | map(attribute='name') -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set asked -%}
        select cast(max(standing.as_of) as varchar) as as_of
        from {{ standing }} as standing
        where
            standing.as_of < {{ as_of() }}
            and not exists (
                select 1
                from {{ ref('customer_history') }} as history
                where
                    history.as_of > (select max(as_of) from {{ standing }})
                    and history.as_of < {{ as_of() }}
            )
    {%- endset -%}
    {{ return(run_query(asked).columns[0].values()[0]) }}
{%- endmacro %}


{# The lifecycle stage at the end of a day of customer_days, by purchases alone. #}
{% macro lifecycle_on_day() -%}
    case
            when coalesce({{ days_between('first_order_date', 'day_date') }}, tenure_days)
                < {{ policy('lifecycle', 'new_days') }} then 'new'
            when coalesce({{ days_between('last_order_date', 'day_date') }}, tenure_days)
                < {{ policy('lifecycle', 'active_days') }} then 'active'
            when coalesce({{ days_between('last_order_date', 'day_date') }}, tenure_days)
                < {{ policy('lifecycle', 'dormant_days') }} then 'dormant'
            else 'churned'
        end
{%- endmacro %}

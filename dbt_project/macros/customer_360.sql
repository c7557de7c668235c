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


{# The names of all tags that hold, with commas between, in the order in which they are declared. #}
{% macro tags() -%}
    {%- set declared = var('tags') or [] -%}
    {%- if declared | length == 0 -%}
    cast('' as varchar)
    {%- else -%}
    cast(
            ltrim(
                concat(
                    {%- for tag in declared %}
                    case when {{ tag_condition(tag) }} then ',{{ tag.name }}' else '' end{{ ',' if not loop.last }}
                    {%- endfor %}
                ),
                ','
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

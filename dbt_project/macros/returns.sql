{#
    Orders and lines that were taken back. A company declares how its systems write them (`cleaning.returns` in
    company.yaml): as credit notes, rows of their own with a negative amount, or as orders whose status is `refunded`.
    Neither is a purchase. A credit note lowers the amount of the row that it takes back, on the day of the purchase: the
    earliest row of that very amount which no earlier note took back, else the latest row before the note that is large
    enough, else the largest one. What is taken back whole is no purchase either.
#}


{# How returns are declared: whether negative amounts, and whether the status, tell of them. #}
{% macro returns(key) -%}
    {{ return(((var('company_cleaning') or {}).get('returns') or {}).get(key, false)) }}
{%- endmacro %}


{# Whether rows of a table depend on later rows, which take them back. #}
{% macro has_credit_notes(table) -%}
    {{ return(table in ['orders', 'order_lines'] and returns('negative_amounts')) }}
{%- endmacro %}


{#
    The rows of a relation called `localised` with the amounts that credit notes left of them, and whether each was taken
    back, or is a credit note itself, in `is_returned`. Rows are taken back within the same `owner` columns.
#}
{% macro net_of_returns(key, owner, columns, has_status=false) -%}
{%- set refunded = "coalesce(status = 'refunded', false)" if has_status and returns('refunded_status') else 'false' -%}
{%- set key_list, owner_list = key | join(', '), owner | join(', ') -%}
{%- if not returns('negative_amounts') -%}
select
    *,
    {{ refunded }} as is_returned
from localised
{%- else -%}
select
    {%- for column in columns %}
    localised.{{ column }},
    {%- endfor %}
    cast(
        case when localised.amount >= 0 then greatest(localised.amount - coalesce(taken.amount, 0), 0) else localised.amount end
        as decimal(18, 4)
    ) as amount,
    {{ refunded | replace('status', 'localised.status') }}
    or coalesce(localised.amount < 0 or taken.amount >= localised.amount, false) as is_returned
from localised
left join (
    with notes as (

        select
            *,
            row_number() over (partition by {{ owner_list }}, amount order by ordered_at, {{ key_list }}) as place
        from localised
        where amount < 0

    ),

    owners as (

        select distinct {{ owner_list }} from notes

    ),

    bought as (

        select
            localised.*,
            row_number() over (
                partition by {% for name in owner %}localised.{{ name }}, {% endfor %}localised.amount
                order by localised.ordered_at, {% for name in key %}localised.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
            ) as place
        from localised
        inner join owners
            on {% for name in owner %}localised.{{ name }} = owners.{{ name }}{{ ' and ' if not loop.last }}{% endfor %}
        where
            localised.amount > 0
            {%- if has_status %}
            and coalesce(localised.status, 'paid') not in ('failed', 'cancelled')
            {%- endif %}

    ),

    matched as (

        select
            {%- for name in key %}
            bought.{{ name }},
            {%- endfor %}
            -notes.amount as amount,
            row_number() over (
                partition by {% for name in key %}notes.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
                order by
                    bought.amount = -notes.amount and bought.place = notes.place desc,
                    bought.amount >= -notes.amount desc,
                    case when bought.amount >= -notes.amount then bought.ordered_at end desc nulls last,
                    bought.amount desc,
                    {% for name in key %}bought.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
            ) as choice
        from notes
        inner join bought
            on
                {% for name in owner %}notes.{{ name }} = bought.{{ name }} and {% endfor %}notes.ordered_at >= bought.ordered_at

    )

    select
        {{ key_list }},
        sum(amount) as amount
    from matched
    where choice = 1
    group by {{ key_list }}
) as taken
    on {% for name in key %}localised.{{ name }} = taken.{{ name }}{{ ' and ' if not loop.last }}{% endfor %}
{%- endif -%}
{%- endmacro %}

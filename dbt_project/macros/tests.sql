{#
    Offenders of a key: combinations of the columns that occur more than once or lack a part. With `month_of` only rows
    of that day column's last month are asked.
#}
{% test unique_rows(model, columns, month_of=none) %}
select {{ columns | join(', ') }}, count(*) as count_rows
from {{ model }}
{%- if month_of is not none %}
where {{ month_of }} >= {{ days_before(as_of(), 31) }}
{%- endif %}
group by {{ columns | join(', ') }}
having
    count(*) > 1
    {%- for column in columns %}
    or {{ column }} is null
    {%- endfor %}
{% endtest %}


{# Offenders of an identity: rows for which the condition holds. #}
{% test never(model, condition) %}
select *
from {{ model }}
where {{ condition }}
{% endtest %}

{# The reason whose words a text holds, by the policy's list; null where it holds none of them. #}
{% macro reason_in_words(text) -%}
    case
        {%- for reason, words in policy('stated_reasons', 'words').items() %}
        when
            {% for word in words -%}
            {{ 'or ' if not loop.first }}lower({{ text }}) like '%{{ word | lower | replace("'", "''") }}%'
            {% endfor -%}
            then '{{ reason }}'
        {%- endfor %}
    end
{%- endmacro %}

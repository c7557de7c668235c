with

members as (

    select * from {{ source('customer_360', 'customer_clusters') }}

),

clusters as (

    select * from {{ source('customer_360', 'clusters') }}

),

named as (

    select
        members.as_of,
        members.customer_id,
        members.cluster_id,
        clusters.kind as cluster_kind,
        clusters.name_en as cluster_en,
        clusters.name_zh as cluster_zh
    from members
    inner join clusters
        on
            members.as_of = clusters.as_of
            and members.cluster_id = clusters.cluster_id

)

select * from named

"""The models of a warehouse built by Spark, on one machine or a cluster, and compared with those of the warehouse."""

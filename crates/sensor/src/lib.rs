//! What processes start on this node, and whether a policy allows them

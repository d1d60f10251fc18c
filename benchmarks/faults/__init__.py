"""What the node does when things break: crashes, full disks, broken peers, hostile callers."""

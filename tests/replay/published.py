# ruff: noqa: E501 - published rows are as long as they are
"""Small hand-written files in the layouts that data sets are published in."""

from __future__ import annotations

from pathlib import Path

SWF = """\
; Computer: a machine of 4 nodes
; Installation: caf\udce9
  1    0  10  100  8 -1 -1  8 -1 -1 1 3 1 1 1 1 -1 -1
  2   30   0   60  3 -1 -1 -1 -1 -1 1 3 1 1 1 1 -1 -1

  3   30   0 7200 21 -1 -1 20 -1 -1 0 3 1 1 1 1 -1 -1
  4   40   0   -1  8 -1 -1  8 -1 -1 5 3 1 1 1 1 -1 -1
  5   41   0    0  8 -1 -1  8 -1 -1 1 3 1 1 1 1 -1 -1
  6   42   0   10 -1 -1 -1 -1 -1 -1 1 3 1 1 1 1 -1 -1
  7   -1   0   10  1 -1 -1  1 -1 -1 1 3 1 1 1 1 -1 -1
  8   50   0   10  1 -1 -1  1 -1 -1 3 3 1 1 1 1 -1 -1
"""
PHILLY = """\
timestamp,duration,num_gpus,gpu_time,cluster
2017-10-01 00:01:00,600,8,4800,6214e9
2017-10-01 00:00:00,60.5,1,60.5,0e4a51
2017-10-02 00:00:00,60,20,1200,6214e9
2017-10-02 00:00:00,60,1,60,gone
2017-10-02 00:00:00,60,0,0,6214e9
2017-10-02 00:00:00,0,1,0,6214e9
"""
VC_NODES = "vc,node num\n6214e9,3\n0e4a51,1\n"
ACME = """\
job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time
a,u1,8,64,960,Other,FAILED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,2023-05-17 11:01:16+00:00,18,10.0,1152.0
b,u1,1,8,128,Other,COMPLETED,2023-05-17 19:00:00+08:00,2023-05-17 19:00:01+08:00,2023-05-17 19:01:01+08:00,60,1,480.0
c,u1,4.0,4.0,12,Other,COMPLETED,2023-05-17 11:02:00+00:00,2023-05-17 11:02:00+00:00,2023-05-17 11:03:00+00:00,60,0,240.0
d,u1,1,0,12,Other,COMPLETED,2023-05-17 11:02:00+00:00,2023-05-17 11:02:00+00:00,2023-05-17 11:03:00+00:00,60,0,0.0
e,u1,1,1,12,Other,CANCELLED,2023-05-17 11:02:00+00:00,,2023-05-17 11:03:00+00:00,0,60,0.0
f,u1,1,1,12,Other,RUNNING,2023-05-17 11:02:00+00:00,2023-05-17 11:03:00+00:00,,0,60,0.0
g,u1,1,1,12,Other,FAILED,2023-05-17 11:02:00+00:00,2023-05-17 11:03:00+00:00,2023-05-17 11:03:00+00:00,0,60,0.0
"""
SPOT_NODES = """\
node_name,gpu_model,gpu_capacity_num,cpu_num
0,GPU-series-1,4,192
1,A10,1,128
10,A100-SXM4-80GB,8,128.5
3,A100-SXM4-80GB,8,128
"""
SPOT_JOBS = """\
job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type
239255,13,A10,20,1,1,0,2764799,HP
437261,57,A100-SXM4-80GB,15,1,94,9589663,71718,Spot
1,57,,1.5,0.5,2,7,10,Spot
2,57,H800,15,1,1,7,10,Spot
3,57,A10,15,0,1,7,10,Spot
4,57,A10,15,1,0,7,10,Spot
5,57,A10,15,1,1,7,0,Spot
6,57,A10,15,1.5,1,7,10,Spot
"""
TOPO = "ip,DSW,PSW,ASW\n10.0.0.1,D1,P1,A1\n10.0.0.2,D1,P1,A1\n10.0.0.3,D1,P2,A1\n"
LINGJUN_JOBS = """\
id,job_name,kind,status,reason,gmt_job_submitted,gmt_job_running,gmt_job_finished,gmt_job_stopped,,
1,dlc1,PyTorchJob,Succeeded,"it, ""went""
well",2023/7/15 02:19,2023/7/15 02:21,2023/7/15 03:21,,,
2,dlc2,PyTorchJob,Stopped,,2023/7/15 02:18,2023/7/15 02:18,,2023/7/15 02:28,,
3,dlc3,PyTorchJob,Failed,,2023/7/15 02:20,,2023/7/15 02:28,,,
4,dlc4,PyTorchJob,Running,,2023/7/15 02:20,2023/7/15 02:20,,,,
5,dlc5,PyTorchJob,Stopped,,2023/7/17 02:53,2023/7/5 15:18,2023/7/17 03:00,,,
6,dlc6,PyTorchJob,Stopped,,2023/7/17 02:53,2023/7/17 02:53,2023/7/17 02:53,,,
7,dlc7,PyTorchJob,Succeeded,,2023/7/17 02:53,2023/7/17 02:53,2023/7/17 02:54,,,
8,dlc8,PyTorchJob,Succeeded,,2023/7/17 02:53,2023/7/17 02:53,2023/7/17 02:54,,,
"""
LINGJUN_WORKERS = """\
id,job_name,worker_name,replica_type,host_ip,gmt_created,gmt_pod_running,gmt_pod_finished,RES
1,dlc1,dlc1-worker-10,Worker,10.0.0.9,,2023/7/15 02:21,,"{""cpu"": ""8"", ""nvidia.com/gpu"": ""8""}"
2,dlc1,dlc1-worker-2,Worker,10.0.0.2,,2023/7/15 02:21,,"{""nvidia.com/gpu"": ""8""}"
3,dlc1,dlc1-master-0,Master,10.0.0.1,,2023/7/15 02:21,,"{""nvidia.com/gpu"": 4}"
4,dlc1,dlc1-worker-2,Worker,10.0.0.3,,2023/7/15 02:30,,"{""nvidia.com/gpu"": ""8""}"
5,dlc2,dlc2-master-0,Master,10.0.0.1,,2023/7/15 02:18,,"{""nvidia.com/gpu"": ""1""}"
6,dlc2,dlc2-ps-0,PS,10.0.0.1,,2023/7/15 02:18,,"{""cpu"": ""8""}"
7,dlc7,dlc7-master-0,Master,,,,,"{""nvidia.com/gpu"": ""1""}"
8,dlc8,dlc8-master-0,Master,10.0.0.1,,,,
9,other,other-master-0,Master,10.0.0.1,,,,"{""nvidia.com/gpu"": ""1""}"
"""


def file(directory: Path, name: str, text: str) -> Path:
    """`text` as file `name`; a surrogate stands for a byte that is not UTF-8."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return path
